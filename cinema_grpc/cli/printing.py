"""Text that is safe to print, and errors in one line of it."""

import os
import sys
from contextlib import suppress
from typing import NoReturn, TextIO

import click


def plain(text: str) -> str:
    """Return a text without characters that a terminal might obey: files and servers may hold escape codes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def refuse(message: str, code: int = 2) -> NoReturn:
    """Write one line to standard error, and exit with a code."""
    exit_with(f"cinema: {plain(' '.join(message.split()))}", code)


def exit_with(line: str, code: int) -> NoReturn:
    """Write a line to standard error, if that can be written, and exit with a code."""
    try:
        click.echo(line, err=True)
    except OSError:
        discard(sys.stderr)
    sys.exit(code)


def discard(output: TextIO) -> None:
    """Redirect an output that can't be written to /dev/null, so that the flush at exit does not fail a second time."""
    with suppress(OSError, ValueError):  # it is not a file in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
