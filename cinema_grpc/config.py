"""The settings: environment variables whose names begin with CINEMA_, checked before anything starts."""

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cinema_grpc.addresses import check_address
from cinema_grpc.application.throttle import Limits
from cinema_grpc.database_url import check_database_url
from cinema_grpc.domain.sign_in import Limit
from cinema_grpc.domain.unpaid_holds import HoldLimits

PREFIX = "CINEMA_"
SHORTEST_SECRET = 32
FEWEST_DIFFERENT_BYTES = 8
"""32 random hexadecimal digits have fewer with a probability of 4e-8."""
CLOSE = 0.9
"""How much of two names is the same if one of them is a slip of the pen."""
SMALLEST_POOL = 8
"""What the box office takes at most (one, and four for showtimes that are waited for), and three for the rest."""

Share = Annotated[float, Field(ge=0, le=1)]


class BadSettings(Exception):
    """A setting is wrong or can't be met here; the message names it and says what would be right, in one line."""


class Settings(BaseSettings):
    """What a server is told from outside. Each field is the environment variable CINEMA_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, hide_input_in_errors=True)

    listen_address: str = Field(
        "127.0.0.1:50051",
        description="Where to listen, as HOST:PORT, or [::1]:50051 for IPv6; port 0 takes any free one.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="A file with the server's certificate and those between it and its authority's, in PEM. With it "
        "the server speaks TLS alone. It is read anew when it changes.",
    )
    tls_key: Path | None = Field(None, description="A file with the certificate's private key, in PEM.")
    tls_client_ca: Path | None = Field(
        None,
        description="A file with authorities, in PEM. With it clients have to show a certificate of theirs (mTLS).",
    )
    plaintext: bool = Field(
        default=False,
        description="Whether to serve other machines without TLS: passwords and tokens can be read on the way.",
    )
    health_address: str | None = Field(
        None,
        description="Where to answer health checks, and nothing else, without TLS, as HOST:PORT: for checks that can't "
        "speak TLS.",
    )
    metrics_address: str | None = Field(
        None,
        description="Where Prometheus finds metrics, by HTTP at /metrics, as HOST:PORT. Not with --workers, whose "
        "processes would share one port.",
    )
    database_url: str = Field(
        "sqlite+aiosqlite:///cinema.db",
        description="The database. sqlite+aiosqlite:///cinema.db is a file in the working folder; four slashes make "
        "the path absolute. postgresql+asyncpg://cinema:password@localhost/cinema is PostgreSQL, for any number of "
        "processes and machines.",
    )
    database_pool_size: Annotated[int, Field(ge=SMALLEST_POOL, le=1_000)] = Field(
        10, description="How many connections a process opens to PostgreSQL at most. SQLite needs one and has one."
    )
    longest_wait_seconds: Annotated[float, Field(ge=0.001, le=600)] = Field(
        5,
        description="How long a call may be expected to wait, in seconds. When more is asked than can be done by then, "
        "newcomers get OVERLOADED at once.",
    )
    largest_request_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * 1024 * 1024)] = Field(
        1024 * 1024, description="How large a request may be, in bytes."
    )
    largest_metadata_bytes: Annotated[int, Field(ge=4 * 1024, le=1024 * 1024)] = Field(
        16 * 1024, description="How large the metadata of a call may be, in bytes."
    )
    calls_at_once: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000,
        description="How many calls may be open in a process, from their first byte to their last, streams apart; the "
        "next gets OVERLOADED.",
    )
    streams_at_once: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        4_000, description="How many streams and health checks may be open in a process; the next gets OVERLOADED."
    )
    sales_reserve: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="The share of calls that is kept for changes by signed-in callers, such as CreateBooking."
    )
    calls_per_connection: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1_000, description="How many calls may run on one connection; clients hold back the next until one has ended."
    )
    receiving_at_once: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        256,
        description="How many calls may wait for their request at once in a process; the next gets OVERLOADED. With "
        "CINEMA_LARGEST_REQUEST_BYTES it bounds the memory for requests that are not complete.",
    )
    receive_seconds: Annotated[float, Field(ge=0.1, le=3_600)] = Field(
        10, description="How long a request may take to come, in seconds; then the call gets INVALID_REQUEST."
    )
    late_requests_per_connection: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        16,
        description="How many calls of one connection may be ended within CINEMA_RECEIVE_SECONDS because their request "
        "does not come; then the connection is closed, unless other calls are under way on it. 0 is no limit, as for a "
        "proxy.",
    )
    send_seconds: Annotated[float, Field(ge=0.1, le=3_600)] = Field(
        30, description="How long a client may take to read an answer, in seconds; then the call is reset."
    )
    unsent_bytes_per_connection: Annotated[int, Field(ge=4 * 1024 * 1024, le=1024**3)] = Field(
        8 * 1024 * 1024,
        description="How many bytes of answers may wait to be sent on one connection; its next reads wait for room, "
        "for CINEMA_LONGEST_WAIT_SECONDS at most.",
    )
    unsent_bytes: Annotated[int, Field(ge=4 * 1024 * 1024, le=64 * 1024**3)] = Field(
        32 * 1024 * 1024, description="The same for all connections of a process."
    )
    largest_page_bytes: Annotated[int, Field(ge=64 * 1024, le=3 * 1024 * 1024)] = Field(
        256 * 1024,
        description="How large a page of a list may be, in bytes; where more was asked for, it has fewer entries.",
    )
    connection_age_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        3_600,
        description="How old a connection may grow, in seconds, so that clients spread over new replicas. They connect "
        "anew by themselves; calls that run have a minute to end.",
    )
    connection_idle_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        300, description="How long a connection may be without a call, in seconds; clients connect anew with the next."
    )
    ping_seconds: Annotated[float, Field(ge=1, le=3_600)] = Field(
        10, description="How long clients have to leave between pings, in seconds; who pings more often is cut off."
    )
    keepalive_seconds: Annotated[float, Field(ge=1, le=3_600)] = Field(
        60, description="After how long a silence a client is asked whether it is still there, in seconds."
    )
    hold_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        600, description="How long a booking holds its seats before it has to be paid for, in seconds."
    )
    seats_on_hold_limit: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        20, description="How many seats one account may have on hold at once, over all showtimes. 0 is no limit."
    )
    unpaid_holds_per_showtime: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        3,
        description="After how many holds of one showtime that an account let lapse or gave up within an hour its next "
        "one there has to wait, longer each time. 0 is no limit.",
    )
    changes_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        120,
        description="How many changes (bookings, payments, cancellations) an account may ask for in a minute; the next "
        "gets TOO_MANY_ATTEMPTS. Each process counts for itself. Staff have no limit. 0 is no limit.",
    )
    payment_grace_seconds: Annotated[float, Field(ge=0.01, le=3_600)] = Field(
        30,
        description="How long a process has to learn from the payment provider what became of a charge, in seconds. "
        "Then any replica settles it: a charge that the provider does not know is called off.",
    )
    simulated_payments_delay_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        0, description="How long the simulated payment provider takes to answer, in seconds."
    )
    simulated_payments_fail_before: Share = Field(
        0, description="The share of its calls, from 0 to 1, that fail before it has done anything."
    )
    simulated_payments_fail_after: Share = Field(
        0, description="The share of its calls, from 0 to 1, that fail after it has done what was asked."
    )
    simulated_payments_lose_answer: Share = Field(
        0, description="The share of its calls, from 0 to 1, that it carries out and never answers."
    )
    jwt_secret: SecretStr | None = Field(
        None,
        description=f"The secret that signs access tokens, {SHORTEST_SECRET} bytes or more, the same for all replicas. "
        "With --demo one is made up if none is set. With signing keys, those that it signed before are still good.",
    )
    signing_keys: Path | None = Field(
        None,
        description="Keys that sign access tokens so that others can verify them, the same for all replicas: a file in "
        "PEM, or a folder of files that end in .pem, with Ed25519 or P-256 keys. The first one by name signs; all "
        "verify. They are read anew when they change.",
    )
    refresh_grace_seconds: Annotated[float, Field(ge=0, le=600)] = Field(
        30,
        description="For how long a refresh token may be sent again as its answer was lost, in seconds; after that "
        "its session ends, as it may be stolen.",
    )
    sign_in_failures: Annotated[int, Field(ge=1, le=1_000)] = Field(
        5,
        description="How many wrong passwords an hour may be tried for an account from one address, before sign-ins "
        "have to wait, longer after each.",
    )
    sign_in_failures_of_account: Annotated[int, Field(ge=1, le=100_000)] = Field(
        50, description="The same for an account from all addresses; it spares those that its owner has signed in from."
    )
    sign_in_failures_of_address: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        100,
        description="The same from an address for all accounts; it spares those that were signed in to from there. 0 "
        "is no limit, for a server behind a proxy.",
    )
    sign_in_longest_delay_seconds: Annotated[float, Field(ge=1, le=86_400)] = Field(
        300, description="What that delay grows to, in seconds."
    )
    registrations_of_address: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        100,
        description="How many new accounts an hour may be registered from one address, tries for a name that is taken "
        "included. 0 is no limit, for a server behind a proxy.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="How to write log lines: for people or programs."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least log level to write.")
    reflection: bool | None = Field(
        None,
        description="Whether to answer server reflection, which grpcurl and buf curl use. Unless set, only on "
        "loopback.",
    )
    shutdown_seconds: Annotated[float, Field(ge=0, le=3_600)] = Field(
        10, description="How long running calls and payments may take to finish after SIGTERM, in seconds."
    )

    @field_validator("listen_address", "health_address", "metrics_address")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        return None if value is None else check_address(value)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        return check_database_url(value)

    @field_validator("jwt_secret")
    @classmethod
    def _check_jwt_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        secret = value.get_secret_value().encode()
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"must be {SHORTEST_SECRET} bytes or more; `openssl rand -hex 32` makes a good one")
        if len(set(secret)) < FEWEST_DIFFERENT_BYTES:
            raise ValueError("is easy to guess: it repeats a few characters; `openssl rand -hex 32` makes a good one")
        return value

    @property
    def loopback_only(self) -> bool:
        """Whether the server can be reached from its own machine alone."""
        host = self.listen_address.rpartition(":")[0].strip("[]")
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def with_reflection(self) -> bool:
        """Whether server reflection is answered."""
        return self.loopback_only if self.reflection is None else self.reflection

    @property
    def payment_grace(self) -> timedelta:
        """How long a process may be at a payment or a refund until another one takes it up."""
        return timedelta(seconds=self.payment_grace_seconds)

    @property
    def hold_for(self) -> timedelta:
        """How long a booking holds its seats."""
        return timedelta(seconds=self.hold_seconds)

    @property
    def hold_limits(self) -> HoldLimits:
        """What one customer may hold."""
        return HoldLimits(self.seats_on_hold_limit, self.unpaid_holds_per_showtime)

    @property
    def sign_in_limits(self) -> Limits:
        """How many wrong passwords cost no wait, and how many Registers an address may make."""
        longest = timedelta(seconds=self.sign_in_longest_delay_seconds)
        of_address = self.sign_in_failures_of_address
        return Limits(
            at_place=Limit(self.sign_in_failures, longest),
            of_account=Limit(self.sign_in_failures_of_account, longest),
            of_place=Limit(of_address, longest) if of_address else None,
            registrations=self.registrations_of_address,
        )

    @property
    def refresh_grace(self) -> timedelta:
        """For how long a refresh token may be sent again."""
        return timedelta(seconds=self.refresh_grace_seconds)


def with_port(address: str, port: int) -> str:
    """Give an address with another port."""
    return f"{address.rpartition(':')[0]}:{port}"


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        BadSettings: One is wrong, or has almost the name of one.
    """
    _check_names(os.environ)
    _check_encoding(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            f"{PREFIX}{'_'.join(map(str, each['loc'])).upper()}: {_plain(each['msg'])}" for each in error.errors()
        ]
        raise BadSettings("; ".join(problems)) from error


def _check_names(names: Iterable[str]) -> None:
    """Find variables that were meant for settings and would change nothing.

    Names that are further off pass by: Kubernetes sets CINEMA_PORT and the like where a service is called cinema.
    """
    known = {name.upper() for name in Settings.model_fields}
    for name in sorted(names):
        given = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and given not in known:
            for meant in get_close_matches(given, known, n=1, cutoff=CLOSE):
                raise BadSettings(f"{name}: is no setting; {PREFIX}{meant} is")


def _check_encoding(environment: Mapping[str, str]) -> None:
    """Refuse bytes that are not UTF-8, which Python keeps in a form that can't be written to a log or a database."""
    for name, value in environment.items():
        if name.upper().startswith(PREFIX):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise BadSettings(f"{name}: must be UTF-8") from error


def describe_settings() -> list[tuple[str, str]]:
    """List the settings: the name of each with its default, and what it is for."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = "not set" if field.default is None else str(field.default)
        lines.append((f"{PREFIX}{name.upper()} [{default}]", field.description or ""))
    return lines


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")
