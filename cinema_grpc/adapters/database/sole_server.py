"""One server to a file of SQLite: a lock beside the file, which the system takes back when the process ends."""

import fcntl
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cinema_grpc.adapters.database.database import Database

SUFFIX = "-server"


class NotAlone(Exception):
    """Another server uses the file, or it can't be told whether one does; the message says which."""


def alone_at(database: Database) -> AbstractContextManager[object]:
    """Keep other servers from a database that can't be shared, until the context is left.

    Other commands may use it meanwhile: they sell no seats.

    Raises:
        NotAlone.
    """
    if database.driver.shared:
        return nullcontext()
    path = Path(str(database.engine.url.database)).resolve()  # the same one for all names that the file has
    try:
        lock = Path(f"{path}{SUFFIX}").open("ab")  # noqa: SIM115 (its caller closes it, which unlocks it)
    except OSError as error:
        raise NotAlone(f"can't lock the file: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if isinstance(error, BlockingIOError):
            raise NotAlone(f"another server uses {path.name}: stop that one first, or take PostgreSQL") from error
        raise NotAlone(f"can't lock the file: {error}") from error
    return lock
