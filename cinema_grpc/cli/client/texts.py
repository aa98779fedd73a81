"""Texts of the caller's: arguments, options, and lines of standard input."""

import sys
from typing import Any

from cinema_grpc.cli.client.servers import BadInput


def read_code() -> str:
    """Return the code of a ticket: the first line of standard input.

    Raises:
        BadInput: The line is not UTF-8, or can't be read.
    """
    try:
        return checked("CODE", sys.stdin.readline().strip())
    except UnicodeDecodeError as error:
        raise BadInput("CODE: must be UTF-8") from error
    except OSError as error:
        raise BadInput(f"CODE: can't read standard input: {error.strerror or error}") from error


def checked(name: str, text: str) -> str:
    """Return a text of the caller's, unless it has bytes that are not UTF-8.

    Raises:
        BadInput: It has. Python keeps them as surrogates, which no message can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{name}: must be UTF-8") from error
    return text


def check_encoding(arguments: dict[str, Any]) -> None:
    """Check all arguments and options of a command; see `checked`."""
    for name, given in arguments.items():
        for text in given if isinstance(given, tuple) else (given,):
            checked(name, str(text))
