"""The exit codes of commands that call a server."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Why a command ended. docs/cli.md lists them."""

    OK = 0
    FAULT = 1
    """A fault of the server or of this program, a question that was answered with no, or an output that failed."""
    USAGE = 2
    """An option, an argument or a field is wrong."""
    SIGN_IN = 3
    """Not signed in, or no longer, or the username or the password is wrong."""
    NOT_ALLOWED = 4
    """The account may not do this."""
    NOT_FOUND = 5
    """There is no such thing."""
    REFUSED = 6
    """The rules or the state do not allow it, such as for seats that are taken or a payment that was declined."""
    TOO_MANY = 7
    """A limit was reached, or the server is busy. Later it may work."""
    UNAVAILABLE = 8
    """The server can't be reached, or did not answer, or was not waited for. A change may have been made, or not."""


OF_STATUS = {
    "INVALID_ARGUMENT": ExitCode.USAGE,
    "UNAUTHENTICATED": ExitCode.SIGN_IN,
    "PERMISSION_DENIED": ExitCode.NOT_ALLOWED,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "ALREADY_EXISTS": ExitCode.REFUSED,
    "FAILED_PRECONDITION": ExitCode.REFUSED,
    "ABORTED": ExitCode.REFUSED,
    "OUT_OF_RANGE": ExitCode.REFUSED,
    "RESOURCE_EXHAUSTED": ExitCode.TOO_MANY,
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
}
"""The exit code of each status code of gRPC; FAULT for others."""
