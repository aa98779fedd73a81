"""Text that is safe to print, and errors in one line of it."""

import sys
from typing import NoReturn

import click


def plain(text: str) -> str:
    """Return a text without characters that a terminal might obey: files and servers may hold escape codes."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def refuse(message: str, code: int = 2) -> NoReturn:
    """Write one line to standard error, and exit with a code."""
    click.echo(f"cinema: {plain(' '.join(message.split()))}", err=True)
    sys.exit(code)
