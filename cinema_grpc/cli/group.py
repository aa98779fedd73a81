"""The group of all commands: it loads those of the client when they are asked for, and reports errors in one line."""

import io
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import click

from cinema_grpc.cli.printing import discard, refuse

CUSTOMER_COMMANDS = {
    "register": "account",
    "login": "account",
    "logout": "account",
    "cinemas": "programme",
    "showtimes": "programme",
    "seats": "programme",
    "watch": "programme",
    "suggest": "programme",
    "book": "buying",
    "pay": "buying",
    "cancel": "buying",
    "bookings": "buying",
}
STAFF_COMMANDS = {
    "sell": "staff",
    "block": "staff",
    "find": "staff",
    "move-showtime": "showtime_changes",
    "cancel-showtime": "showtime_changes",
    "void": "corrections",
    "refunds": "corrections",
    "settle": "corrections",
    "redeem": "staff",
    "reverse": "corrections",
    "events": "events",
}
OTHER_COMMANDS = {"version": "shell", "completion": "shell"}
CLIENT_COMMANDS: Mapping[str, str] = {**CUSTOMER_COMMANDS, **STAFF_COMMANDS, **OTHER_COMMANDS}
"""The commands that do without the server's modules, each with its own in `cinema_grpc.cli.client`."""
READING = {"serve", "audit", "report", "reconcile", "health"}
"""The other commands that change nothing, or end as they should after Ctrl-C."""
INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it. That of commands of the client is in docs/cli.md."""
LONGEST_SENTENCE = 200
"""More letters than the first sentence of any command's help has, so that it is shown whole."""


class AllCommands(click.Group):
    """A group with commands of its own and those of the client. Its help lists them by whom they are for.

    An expected error of a command of its own is reported in one line, with the exit code 2.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. A letter that the terminal's encoding does not have is written as a question mark."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        if sys.stdin is None:  # it was closed
            sys.stdin = Path(os.devnull).open(encoding="ascii")  # noqa: SIM115 (until the program ends)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in CLIENT_COMMANDS:
                raise
            effect = "" if ctx.invoked_subcommand in READING else "; what it had begun may have been carried out"
            refuse(f"interrupted{effect}", INTERRUPTED)
        except OSError as error:
            discard(sys.stdout)
            refuse(str(error) or type(error).__name__)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if (message := _expected(error)) is None:
                raise
            refuse(message)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *CLIENT_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of this name."""
        if (module := CLIENT_COMMANDS.get(cmd_name)) is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"cinema_grpc.cli.client.{module}"), cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and first sentences of the commands."""
        sections = {
            "Commands for customers": list(CUSTOMER_COMMANDS),
            "Commands for staff": ["report", *STAFF_COMMANDS],
        }
        named = {name for names in sections.values() for name in names}
        sections["Commands for operators"] = [name for name in super().list_commands(ctx) if name not in named]
        sections["Other commands"] = list(OTHER_COMMANDS)
        for title, names in sections.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            shown = [(name, command) for name, command in commands if command is not None and not command.hidden]
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(LONGEST_SENTENCE)) for name, command in shown])


def _expected(error: Exception) -> str | None:
    """Return the message of an error that the server's modules expect, or None for any other error."""
    # ruff: noqa: PLC0415 (only where a command has failed)
    from cinema_grpc.application.errors import StorageUnavailable
    from cinema_grpc.config import BadSettings
    from cinema_grpc.domain.errors import CinemaError

    if isinstance(error, StorageUnavailable):
        cause = error.__cause__ or error
        return f"the database can't be used: {getattr(cause, 'orig', None) or cause}"  # without SQLAlchemy's text
    return str(error) if isinstance(error, BadSettings | CinemaError) else None
