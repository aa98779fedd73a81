"""The settings: environment variables whose names begin with CINEMA_, checked before anything starts."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cinema_grpc.addresses import check_address, host_and_port, is_loopback
from cinema_grpc.application.throttle import SignInLimits
from cinema_grpc.database_url import check_database_url
from cinema_grpc.domain.sign_in import Limit
from cinema_grpc.domain.unpaid_holds import HoldLimits
from cinema_grpc.stripe_settings import check_api_base, check_stripe_key

PREFIX = "CINEMA_"
SHORTEST_SECRET = 32
FEWEST_DIFFERENT_BYTES = 8
"""32 random hexadecimal digits have fewer with a probability of 4e-8."""
SMALLEST_POOL = 8
"""Connections of the box office (one, and four for contended showtimes), and three for the rest."""
KIB, MIB, GIB = 1024, 1024**2, 1024**3
HOUR, DAY = 3_600, 86_400

Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountOrOff = Annotated[int, Field(ge=0, le=1_000_000)]
"""0 turns the limit off."""
Share = Annotated[float, Field(ge=0, le=1)]


class BadSettings(Exception):
    """A setting is wrong or impossible on this machine. The message names it and says what is right, in one line."""


class Settings(BaseSettings):
    """The settings of a process. Each field is the environment variable CINEMA_ and its name in capitals.

    The text below a field is also its description in `cinema serve --help` and docs/reference.md.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    listen_address: str = "127.0.0.1:50051"
    """The address to listen on: HOST:PORT, or [::1]:50051 for IPv6. Port 0 selects a free port."""
    tls_certificate: Path | None = None
    """File with the server's certificate chain, in PEM. If set, the server accepts TLS only. The file is read again
    when it changes."""
    tls_key: Path | None = None
    """File with the private key of the certificate, in PEM."""
    tls_client_ca: Path | None = None
    """File with certificate authorities, in PEM. If set, clients must present a certificate of one of them (mTLS)."""
    plaintext: bool = False
    """Serve other machines without TLS. Passwords and tokens can then be read on the network."""
    health_address: str | None = None
    """HOST:PORT that answers health checks, and nothing else, without TLS."""
    metrics_address: str | None = None
    """HOST:PORT of the Prometheus metrics, by HTTP at /metrics. With --workers each worker has a port of its own: this
    one, the next and so on."""
    tracing: bool = False
    """Send traces by OpenTelemetry's protocol (OTLP), to where the variables OTEL_... say. Needs the extra otel, as in
    pip install ./clients/python '.[otel]' in a checkout."""
    database_url: str = "sqlite+aiosqlite:///cinema.db"
    """The database. sqlite+aiosqlite:///cinema.db is a file in the working folder; four slashes begin an absolute path.
    postgresql+asyncpg://cinema:password@localhost/cinema is PostgreSQL, for any number of processes and machines."""
    database_pool_size: Annotated[int, Field(ge=SMALLEST_POOL, le=1_000)] = 10
    """Maximum connections of a process to PostgreSQL. SQLite always has one."""
    longest_wait_seconds: Annotated[float, Field(ge=0.001, le=600)] = 5
    """Maximum expected wait of a call for the box office or the database. A call that would wait longer gets OVERLOADED
    at once. CINEMA_CALLS_AT_ONCE bounds the wait for the processor."""
    largest_request_bytes: Annotated[int, Field(ge=64 * KIB, le=64 * MIB)] = MIB
    """Maximum size of a request."""
    largest_metadata_bytes: Annotated[int, Field(ge=4 * KIB, le=MIB)] = 16 * KIB
    """Maximum size of the metadata of a call."""
    calls_at_once: Count = 10_000
    """Maximum open calls of a process, from first byte to last, streams not counted. Further calls get OVERLOADED."""
    streams_at_once: Count = 4_000
    """Maximum open streams and health checks of a process, WatchSeats and WatchEvents not counted. Further ones get
    OVERLOADED."""
    watches_at_once: Count = 4_000
    """Maximum open streams of WatchSeats and WatchEvents of a process, of which one client network gets half. Further
    ones get STREAM_LIMIT."""
    sales_reserve: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of CINEMA_CALLS_AT_ONCE reserved for changes by signed-in callers, such as CreateBooking."""
    calls_per_connection: Count = 1_000
    """Maximum open calls and streams of one connection. Clients delay further ones until one has ended."""
    receiving_at_once: Count = 256
    """Maximum calls of a process whose request is incomplete. Further calls get OVERLOADED. Multiplied by
    CINEMA_LARGEST_REQUEST_BYTES, it bounds the memory for incomplete requests."""
    receive_seconds: Annotated[float, Field(ge=0.1, le=HOUR)] = 10
    """Time limit for a request to arrive. After it the call gets INVALID_REQUEST."""
    late_requests_per_connection: CountOrOff = 16
    """Maximum calls of one connection that run into CINEMA_RECEIVE_SECONDS within that time. After that the connection
    is closed, unless it has other open unary calls. 0 means no limit; use it behind a proxy."""
    send_seconds: Annotated[float, Field(ge=0.1, le=HOUR)] = 30
    """Time limit for a client to read a response. After it the call is reset."""
    unsent_bytes_per_connection: Annotated[int, Field(ge=4 * MIB, le=GIB)] = 8 * MIB
    """Maximum size of unsent responses of one connection. Further reads on it wait for room, for
    CINEMA_LONGEST_WAIT_SECONDS at most."""
    unsent_bytes: Annotated[int, Field(ge=4 * MIB, le=64 * GIB)] = 32 * MIB
    """Maximum size of unsent responses of all connections of a process."""
    largest_page_bytes: Annotated[int, Field(ge=64 * KIB, le=3 * MIB)] = 256 * KIB
    """Maximum size of a page of a list. A page that would be larger has fewer entries."""
    connection_age_seconds: Annotated[float, Field(ge=1, le=DAY)] = 3_600
    """Maximum age of a connection, so that clients spread over new replicas. Clients reconnect by themselves; open
    calls have a minute to end."""
    connection_idle_seconds: Annotated[float, Field(ge=1, le=DAY)] = 300
    """Maximum time of a connection without a call. Clients reconnect with their next call."""
    ping_seconds: Annotated[float, Field(ge=1, le=HOUR)] = 10
    """Minimum time between two pings of a client. A client that pings more often is disconnected."""
    keepalive_seconds: Annotated[float, Field(ge=1, le=HOUR)] = 60
    """Time without traffic after which the server pings a client."""
    hold_seconds: Annotated[float, Field(ge=1, le=DAY)] = 600
    """How long a booking holds its seats until it must be paid for."""
    seats_on_hold_limit: CountOrOff = 20
    """Maximum seats on hold of one account, over all showtimes. 0 means no limit."""
    unpaid_holds_per_showtime: CountOrOff = 3
    """Unpaid holds (lapsed or cancelled) of an account in one showtime within an hour, after which its next booking
    there is delayed, longer each time. 0 means no limit."""
    changes_per_minute: CountOrOff = 120
    """Maximum changes (bookings, payments, cancellations) of an account in a minute, in each process. Further ones get
    TOO_MANY_ATTEMPTS. Staff have no limit. 0 means no limit."""
    event_retention_days: Annotated[float, Field(ge=0.01, le=3_650)] = 30
    """How long events can be read. A consumer that was away for longer gets POSITION_TRIMMED."""
    payment_grace_seconds: Annotated[float, Field(ge=0.01, le=HOUR)] = 30
    """Time limit for a process to learn the outcome of a charge from the payment provider. After it any replica settles
    the charge; a charge that the provider does not know is called off."""
    payments: Literal["simulated", "stripe"] = "simulated"
    """Payment provider. With simulated, no money moves. stripe needs the extra stripe, as in
    pip install ./clients/python '.[stripe]' in a checkout."""
    stripe_secret_key: SecretStr | None = None
    """Secret key (sk_...) or restricted key (rk_...) of the Stripe account. A restricted key needs to write
    PaymentIntents and Refunds, and to read Balance transactions."""
    stripe_secret_key_file: Path | None = None
    """File with the key, instead of CINEMA_STRIPE_SECRET_KEY."""
    stripe_api_base: str | None = None
    """URL of Stripe's API, for tests. By default Stripe's own."""
    simulated_payments_delay_seconds: Annotated[float, Field(ge=0, le=HOUR)] = 0
    """Response time of the simulated payment provider."""
    simulated_payments_fail_before: Share = 0
    """Share of the simulated provider's calls that fail before they take effect."""
    simulated_payments_fail_after: Share = 0
    """Share of the simulated provider's calls that fail after they took effect."""
    simulated_payments_lose_answer: Share = 0
    """Share of the simulated provider's calls that take effect and never return."""
    jwt_secret: SecretStr | None = None
    """Secret that signs access tokens: 32 bytes or more, hard to guess, the same on all replicas. With --demo a random
    one is used if none is set. With CINEMA_SIGNING_KEYS it verifies tokens that it signed before, and signs none."""
    signing_keys: Path | None = None
    """Keys that sign access tokens so that other services can verify them: a PEM file, or a folder of .pem files, with
    Ed25519 or P-256 keys, the same on all replicas. The first by name signs; all verify. They are read again when they
    change."""
    ticket_keys: Path | None = None
    """Keys that sign the codes of tickets so that doors can check them offline: a PEM file, or a folder of .pem files,
    with Ed25519 keys, the same on all replicas, and none of CINEMA_SIGNING_KEYS. The first by name signs; all verify.
    Keep a key until its last showtime has ended. They are read again when they change. If not set, a key that is
    derived from CINEMA_JWT_SECRET signs; without that too, codes are random, and only the server can check them."""
    refresh_grace_seconds: Annotated[float, Field(ge=0, le=600)] = 30
    """How long a used refresh token may be repeated, for clients that lost the response. A later repeat revokes the
    session, since the token may be stolen."""
    sign_in_failures: Annotated[int, Field(ge=1, le=1_000)] = 5
    """Wrong passwords an hour for one account from one address, after which sign-ins are delayed, longer each time."""
    sign_in_failures_of_account: Annotated[int, Field(ge=1, le=100_000)] = 50
    """The same for one account from all addresses. Addresses that the account has signed in from are exempt."""
    sign_in_failures_of_address: CountOrOff = 100
    """The same for all accounts from one address. Accounts that have signed in from it are exempt. 0 means no limit;
    use it behind a proxy."""
    sign_in_longest_delay_seconds: Annotated[float, Field(ge=1, le=DAY)] = 300
    """Maximum delay of a sign-in."""
    registrations_of_address: CountOrOff = 100
    """Maximum registrations an hour from one address, attempts at a taken name included. 0 means no limit; use it
    behind a proxy."""
    log_format: Literal["console", "json"] = "console"
    """Format of log lines: for people or for programs."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    reflection: bool | None = None
    """Answer server reflection, which grpcurl and buf curl use. If not set, only on loopback addresses."""
    shutdown_seconds: Annotated[float, Field(ge=0, le=HOUR)] = 10
    """Time limit for open calls and payments to finish after SIGTERM."""

    @field_validator("listen_address", "health_address", "metrics_address")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        return None if value is None else check_address(value)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        return check_database_url(value)

    @field_validator("stripe_secret_key")
    @classmethod
    def _check_stripe_secret_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_stripe_key(value.get_secret_value())
        return value

    @field_validator("stripe_api_base")
    @classmethod
    def _check_stripe_api_base(cls, value: str | None) -> str | None:
        return None if value is None else check_api_base(value)

    @field_validator("jwt_secret")
    @classmethod
    def _check_jwt_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        secret = value.get_secret_value().encode()
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(f"must be {SHORTEST_SECRET} bytes or more; use `openssl rand -hex 32`")
        if len(set(secret)) < FEWEST_DIFFERENT_BYTES:
            raise ValueError("is easy to guess: it repeats a few characters; use `openssl rand -hex 32`")
        return value

    @property
    def loopback_only(self) -> bool:
        """Whether the listen address is reachable from this machine only."""
        return is_loopback(host_and_port(self.listen_address)[0])

    @property
    def with_reflection(self) -> bool:
        """Whether the server answers server reflection."""
        return self.loopback_only if self.reflection is None else self.reflection

    @property
    def payment_grace(self) -> timedelta:
        """Time of a process for a payment or a refund, after which another process takes it over."""
        return timedelta(seconds=self.payment_grace_seconds)

    @property
    def hold_for(self) -> timedelta:
        """How long a booking holds its seats."""
        return timedelta(seconds=self.hold_seconds)

    @property
    def event_retention(self) -> timedelta:
        """How long events can be read."""
        return timedelta(days=self.event_retention_days)

    @property
    def hold_limits(self) -> HoldLimits:
        """The limits on the holds of one customer."""
        return HoldLimits(self.seats_on_hold_limit, self.unpaid_holds_per_showtime)

    @property
    def sign_in_limits(self) -> SignInLimits:
        """How many wrong passwords cost no wait, and how many Registers an address may make."""
        longest = timedelta(seconds=self.sign_in_longest_delay_seconds)
        of_address = self.sign_in_failures_of_address
        return SignInLimits(
            account_at_network=Limit(self.sign_in_failures, longest),
            account=Limit(self.sign_in_failures_of_account, longest),
            network=Limit(of_address, longest) if of_address else None,
            registrations=self.registrations_of_address,
        )

    @property
    def refresh_grace(self) -> timedelta:
        """How long a used refresh token may be repeated."""
        return timedelta(seconds=self.refresh_grace_seconds)


def with_port(address: str, port: int) -> str:
    """Return an address with another port."""
    return f"{address.rpartition(':')[0]}:{port}"


def variable(field: str) -> str:
    """Return the environment variable of a field of Settings."""
    return f"{PREFIX}{field.upper()}"
