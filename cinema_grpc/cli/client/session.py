"""A command that calls a server: its common options, the tokens it calls with, and how it reports errors."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from uuid import uuid4

import click
from click.core import ParameterSource

from cinema_grpc.cli.client.arguments import MAX_LISTED
from cinema_grpc.cli.client.exit_codes import OF_STATUS, ExitCode
from cinema_grpc.cli.client.servers import DEFAULT, BadInput, Server, TlsFiles, parse_server
from cinema_grpc.cli.client.texts import check_encoding
from cinema_grpc.cli.client.token_store import BadTokenFile, SharedSignIn, SignIn, TokenStore
from cinema_grpc.cli.printing import discard, exit_with, refuse

if TYPE_CHECKING:
    from cinema_client import CinemaError, Client, Tokens

# ruff: noqa: PLC0415 (what calls is imported when a command calls: `cinema --help` and completion must be fast)

Response = TypeVar("Response")
OUTPUTS = ("text", "json")
PASSWORD_VARIABLE = "CINEMA_PASSWORD"  # noqa: S105 (its name, not a password)
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""A time in a message of the server's."""


@dataclass(slots=True)
class Session:
    """What a command calls, as whom, and how it writes.

    Attributes:
        server: The server.
        store: Where tokens are kept.
        output: The value of --output.
        carried_out: Whether the command has changed something.
        request_id: That of the change; "" if the command takes none.
    """

    server: Server
    store: TokenStore
    output: str
    carried_out: bool = False
    request_id: str = ""

    def carry_out(self, method: Callable[[Any], Response], request: Any, *, by_id: bool = True) -> Response:
        """Make a call that changes something, and return the response.

        Ctrl-C meanwhile leaves open whether it was carried out, as a lost connection does, and is reported like that.

        Args:
            method: Makes the call.
            request: Its request, which gets a request_id if it has none.
            by_id: Whether the command takes a request_id; another one is run again without.
        """
        if getattr(request, "validate_only", False):
            return method(request)
        request.request_id = request.request_id or str(uuid4())
        self.request_id = request.request_id if by_id else ""
        try:
            response = method(request)
        except KeyboardInterrupt:
            message = f"interrupted ({unknown_outcome(self.request_id)})"
            fail(self.output, ExitCode.UNAVAILABLE, message, request_id=self.request_id)
        self.carried_out = True
        return response

    @contextmanager
    def client(self, *, anonymous: bool = False) -> Iterator["Client"]:
        """Open a client of the server, signed in if there are tokens for it. New tokens are kept as they come.

        An `anonymous` one does without kept tokens, and keeps none.
        """
        from cinema_client import Client, Tokens

        shared = None if anonymous else SharedSignIn.of(self.store, self.server.url)

        def keep(tokens: "Tokens | None") -> None:
            if shared is not None:
                shared.keep(None if tokens is None else (tokens.access_token, tokens.refresh_token))

        def tokens_of(sign_in: SignIn | None) -> "Tokens | None":
            return None if sign_in is None else Tokens(sign_in.access_token, sign_in.refresh_token)

        with Client(
            self.server.address,
            root_certificates=self.server.root_certificates,
            certificate_chain=self.server.certificate_chain,
            private_key=self.server.private_key,
            plaintext=self.server.plaintext,
            tokens=None if shared is None else tokens_of(shared.held),
            on_tokens=keep,
            newer_tokens=None if shared is None else lambda: tokens_of(shared.newer()),
        ) as client:
            yield client

    def keep(self, username: str, tokens: "Tokens") -> None:
        """Keep the tokens of a session."""
        self.store.save(self.server.url, SignIn(username, tokens.access_token, tokens.refresh_token))

    def show(self, message: Any, draw: Any) -> None:
        """Write a message as --output says; see `output.show`."""
        from cinema_grpc.cli.client.output import show

        show(self.output, message, draw)


def common_options() -> list[click.Parameter]:
    """Return the options of every command that calls a server."""
    return [
        click.Option(
            ["--server"],
            envvar="CINEMA_SERVER",
            default=DEFAULT,
            metavar="HOST:PORT",
            help=f"The server. Plaintext to loopback, else TLS; https:// or http:// before it decides. By default "
            f"CINEMA_SERVER or {DEFAULT}.",
        ),
        click.Option(
            ["--ca"],
            envvar="CINEMA_CA",
            type=click.Path(path_type=Path),
            help="A file of the certificates to trust, in PEM. By default CINEMA_CA, or what the system trusts.",
        ),
        click.Option(
            ["--cert"],
            envvar="CINEMA_CERT",
            type=click.Path(path_type=Path),
            help="A file of your own certificate, in PEM, if the server asks for one. By default CINEMA_CERT.",
        ),
        click.Option(
            ["--key"],
            envvar="CINEMA_KEY",
            type=click.Path(path_type=Path),
            help="A file of the private key of --cert, in PEM. By default CINEMA_KEY.",
        ),
        click.Option(
            ["-o", "--output"], type=click.Choice(OUTPUTS), default="text", help="What to write: text or json."
        ),
    ]


class ClientCommand(click.Command):
    """A command that calls a server. Its function takes the Session as `session`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options()

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An expected error is written in one line, and becomes the exit code."""
        server, output = (ctx.params.pop(name) for name in ("server", "output"))
        files = TlsFiles(*(ctx.params.pop(name) for name in ("ca", "cert", "key")))
        with reported(output):
            check_encoding(ctx.params)
            if output == "json" and ctx.get_parameter_source("limit") is ParameterSource.DEFAULT:
                ctx.params["limit"] = MAX_LISTED  # a program does not see where a list was cut
            session = ctx.params["session"] = session_with(server, files, output)
            with written(session):
                return super().invoke(ctx)


def session_with(server: str, files: TlsFiles, output: str) -> Session:
    """Return the session of a command with these options.

    Raises:
        BadInput: An option is wrong.
    """
    return Session(parse_server(server, files), TokenStore(Path(click.get_app_dir("cinema")) / "sign-ins"), output)


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """End the process with 0 on Ctrl-C, and close no connection.

    After an interrupted call gRPC's Channel.close (1.83) may wait for ever, for events that only that thread takes.
    """
    try:
        yield
    except KeyboardInterrupt:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(0)


@contextmanager
def written(session: Session) -> Iterator[None]:
    """Report an output that can't be written or that Ctrl-C has ended, and what has been done all the same."""
    try:
        yield
    except KeyboardInterrupt:
        if not session.carried_out:
            raise
        fail(session.output, ExitCode.FAULT, f"interrupted{_done(session)}", request_id=session.request_id)
    except OSError as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError) and not session.carried_out:
            sys.exit(ExitCode.FAULT)  # such as `cinema showtimes | head`
        message = f"the output can't be written: {error.strerror or error}{_done(session)}"
        fail(session.output, ExitCode.FAULT, message, request_id=session.request_id)


@contextmanager
def reported(output: str) -> Iterator[None]:
    """Write an expected error in one line to standard error, and exit with its code; as JSON if `output` says so."""
    try:
        yield
    except (BadInput, BadTokenFile) as error:
        fail(output, ExitCode.USAGE, str(error))
    except Exception as error:
        if (failure := _failure_of(error)) is None:
            raise
        code = OF_STATUS.get(failure.code().name, ExitCode.FAULT)
        fail(
            output,
            code,
            _message(failure, code) if output == "json" else _in_local_time(_message(failure, code)),
            reason=failure.reason or failure.code().name,
            metadata=failure.metadata,
            request_id=failure.request_id,
        )


def fail(
    output: str,
    code: ExitCode,
    message: str,
    reason: str = "",
    metadata: Mapping[str, str] | None = None,
    request_id: str = "",
) -> NoReturn:
    """Write an error to standard error, and exit.

    Args:
        output: The value of --output.
        code: The exit code.
        message: What went wrong, in words.
        reason: The reason of the contract, or gRPC's status code; "" if the error is not the server's.
        metadata: That of the contract's error.
        request_id: That of the call, if it has one.
    """
    if output != "json":
        refuse(f"{reason}: {message}" if reason else message, code)
    error = {"exitCode": int(code), "reason": reason, "message": message}
    exit_with(json.dumps({**error, "metadata": dict(metadata or {}), "requestId": request_id}), code)


def _failure_of(error: Exception) -> "CinemaError | None":
    """Return an error of a call, or None for any other error."""
    if "cinema_client" not in sys.modules:
        return None
    from cinema_client import CinemaError

    return error if isinstance(error, CinemaError) else None


def _message(failure: "CinemaError", code: ExitCode) -> str:
    """Return what went wrong and what to do about it, where the server can't know it."""
    if code is ExitCode.SIGN_IN and failure.reason != "BAD_CREDENTIALS":
        return "you are not signed in to this server, or no longer: use cinema login USERNAME"
    if failure.reason == "BAD_CREDENTIALS" and os.environ.get(PASSWORD_VARIABLE):
        return f"{failure.message} (the password is that of {PASSWORD_VARIABLE}; unset it to be asked)"
    if code is ExitCode.UNAVAILABLE and failure.request_id:
        return f"{failure.message} ({unknown_outcome(failure.request_id)})"
    if failure.code().name == "UNAVAILABLE" and not failure.reason:  # gRPC's own error: no server answered
        return f"{failure.message} (does a server run there? --server or CINEMA_SERVER names another)"
    return failure.message


def _done(session: Session) -> str:
    """Return in parentheses that the command was carried out, if it was, and how to get its output."""
    again = f"; the same command with --request-id {session.request_id} writes it again" if session.request_id else ""
    return f" (the command was carried out{again})" if session.carried_out else ""


def unknown_outcome(request_id: str) -> str:
    """Return what to do if the outcome of a call is unknown. `request_id` is "" if the command takes none."""
    again = f"repeating the command with --request-id {request_id} does it once" if request_id else "run it again"
    return f"whether it was carried out is unknown; {again}"


def _in_local_time(text: str) -> str:
    """Return a message of the server's with its times in the time zone of this machine."""

    def local(found: re.Match[str]) -> str:
        try:
            return datetime.fromisoformat(found[0]).astimezone().isoformat(" ", "seconds")
        except (ValueError, OverflowError, OSError):  # such as the 30th of February, or the end of the year 9999
            return found[0]

    return UTC_TIME.sub(local, text)
