"""What the commands of `cinema` share: settings in their help, text that is safe to print, and the event loop."""

from collections.abc import Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cinema_grpc.cli.printing import plain, refuse

if TYPE_CHECKING:
    from cinema_grpc.config import Settings

# ruff: noqa: PLC0415 (commands import only what they need: see commands.py)

A = TypeVar("A")

LOGGED = ("database_url", "log_format", "log_level")
"""The settings that a command reads which uses the database and writes a log."""


class SettingsCommand(click.Command):
    """A command whose help lists the settings that it reads."""

    def __init__(self, *arguments: Any, reads: Collection[str] = (), **options: Any) -> None:
        """Set up a command of click's.

        Args:
            arguments: As for click.Command.
            reads: The fields of Settings that it reads; none for all.
            options: As for click.Command.
        """
        super().__init__(*arguments, **options)
        self._reads = reads

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        """Write each setting with its default and meaning."""
        from cinema_grpc.cli.settings_help import describe_settings
        from cinema_grpc.config import Settings, variable

        variables = frozenset(map(variable, self._reads or Settings.model_fields))
        with formatter.section("Settings (environment variables) [default]"):
            listed = [each for each in describe_settings() if each.variable in variables]
            rows = [(f"{each.variable} [{each.default}]", each.meaning) for each in listed]
            formatter.write_dl(rows, col_max=0)


def settings_and_log(level: str | None = None) -> "Settings":
    """Read the settings, and set up logging by them."""
    from cinema_grpc.environment import read_settings
    from cinema_grpc.observability.log import set_up_logging

    settings = read_settings()
    set_up_logging(settings.log_format, level or settings.log_level)
    return settings


def run(work: Coroutine[Any, Any, A]) -> A:
    """Run a coroutine, on uvloop if it is installed."""
    import asyncio
    from importlib.util import find_spec

    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
    if find_spec("uvloop") is not None:
        import uvloop

        new_loop = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def check_text(**arguments: str | None) -> None:
    """Refuse bytes that are not UTF-8. Python keeps them as surrogates, which can't be stored."""
    for name, value in arguments.items():
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            refuse(f"{name}: must be UTF-8")


def print_lines(text: str, *, err: bool = False) -> None:
    """Write lines of plain text to standard output or standard error."""
    for line in text.splitlines():
        click.echo(plain(line), err=err)
