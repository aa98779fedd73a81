"""What commands write: drawings and tables for people, JSON for programs."""

import errno
import os
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import click
from cinema_client.cinema.v1.money_pb2 import Money
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cinema_grpc.cli.amounts import major
from cinema_grpc.cli.printing import plain

JSON = "json"
DEFAULT_COLUMNS = 80


class PlainConsole(Console):
    """A console that leaves it to the command to report a broken pipe."""

    def on_broken_pipe(self) -> None:
        """Raise the error, which rich would take for the end of the program."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def console() -> Console:
    """Return a console on standard output. In a pipe it has no colours, and 80 columns unless COLUMNS is set."""
    screen = PlainConsole(highlight=False, emoji=False, markup=False)
    if screen.width < 1:  # COLUMNS=0
        screen.width = DEFAULT_COLUMNS
    return screen


def show(output: str, message: Message, draw: Callable[[], RenderableType]) -> None:
    """Write a message.

    Args:
        output: The value of --output.
        message: What JSON is made of.
        draw: Returns what people see.
    """
    if output == JSON:
        show_json(message)
    else:
        console().print(draw())


def show_json(message: Message, indent: int | None = 2) -> None:
    """Write a message in the JSON form of proto3, with all fields; on one line if `indent` is None."""
    click.echo(MessageToJson(message, indent=indent, always_print_fields_with_no_presence=True))


class PlainTable(Table):
    """A table whose cells, other than renderables, are made plain: most hold texts of the server's."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row."""
        super().add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def table(*columns: str, right: str = "") -> Table:
    """Return an empty table without borders.

    Args:
        columns: The headers.
        right: Those of the columns that are aligned to the right, separated by spaces.
    """
    empty = PlainTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        empty.add_column(column, justify="right" if column in right.split() else "left", overflow="fold")
    return empty


def money(amount: Money) -> str:
    """Return an amount with its currency, such as "12.50 EUR"; "" if there is none."""
    if not amount.currency_code:
        return ""
    try:
        return f"{major(amount.minor_units, amount.currency_code)} {amount.currency_code}"
    except ValueError:  # a currency that is newer than this program
        return f"{amount.minor_units} {plain(amount.currency_code)} (minor units)"


def moment(time: Timestamp, zone: tzinfo | None = None) -> str:
    """Return a time as people write it, in a time zone; None for that of this machine."""
    utc = time.ToDatetime(UTC)
    try:
        local = utc.astimezone(zone)
    except OverflowError:  # in the year 1 or 9999, which doors may report
        local = utc
    return local.strftime("%a %Y-%m-%d %H:%M")


def clock() -> str:
    """Return the time of this machine, to the second."""
    return datetime.now(UTC).astimezone().strftime("%H:%M:%S")


def zone_of(name: str) -> tzinfo:
    """Return a time zone by its IANA name; UTC if this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def name(enum: Any, value: int) -> str:
    """Return the name of a value of an enum without its prefix, such as "RESERVED"; its number if it is unknown."""
    try:
        return str(enum.Name(value)).removeprefix(_prefix(enum))
    except ValueError:
        return str(value)


def value(enum: Any, choice: str) -> Any:
    """Return the value of an enum that an option such as "card-terminal" names."""
    return enum.Value(_prefix(enum) + choice.upper().replace("-", "_"))


def _prefix(enum: Any) -> str:
    return str(enum.Name(0)).removesuffix("UNSPECIFIED")


def lines(*rows: tuple[str, str]) -> Table:
    """Return labels with what belongs to them, those with something alone."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, content in rows:
        if content:
            grid.add_row(label, Text(plain(content)))
    return grid
