"""One server to an SQLite file, by locks that the system releases when the process ends.

Two locks are taken, as each finds what the other does not:

- One on the file itself, which is the same by whatever name it is reached: a hard link, a bind mount, after a rename.
- One on a file beside it, which is the same if the database's file was moved away and a new one is made. It is also all
  there is on a system without locks of open files (F_OFD_SETLK).
"""

import fcntl
import os
import struct
import sys
from contextlib import ExitStack
from pathlib import Path

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sqlite_file import make_private

SUFFIX = "-server"
SET_LOCK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
LOCKED_BYTE = 2**62
"""Far beyond the bytes that SQLite locks, some 510 from 2**30 on, and beyond any file's end."""


class NotAlone(Exception):
    """Another server uses the file, or it can't be told whether one does; the message says which."""


def alone_at(database: Database) -> ExitStack:
    """Keep other servers from a database that can't be shared, until the context is left.

    It has to be left after the database was closed. Other commands may use the database meanwhile: they sell no seats.

    Raises:
        NotAlone.
    """
    if database.driver.shared:
        return ExitStack()
    path = Path(str(database.engine.url.database)).resolve()  # SQLite's journal is beside what a link leads to, too
    with ExitStack() as locks:
        try:
            make_private(path)
            beside = _open(locks, Path(f"{path}{SUFFIX}"), os.O_CREAT)
            fcntl.flock(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if SET_LOCK is not None:
                fcntl.fcntl(_open(locks, path), SET_LOCK, _one_byte())
        except BlockingIOError as error:
            raise NotAlone(f"another server uses {path.name}: stop that one first, or take PostgreSQL") from error
        except OSError as error:
            raise NotAlone(f"can't lock the file: {error}") from error
        return locks.pop_all()


def _open(locks: ExitStack, path: Path, flags: int = 0) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    locks.callback(os.close, descriptor)
    return descriptor


def _one_byte() -> bytes:
    """Return a `struct flock` for an exclusive lock of LOCKED_BYTE.

    The lock belongs to the open file, not to the process (an "open file description lock"). A lock of the process would
    be gone as soon as SQLite closes any descriptor of the file, and flock(2) gets in the way of SQLite's locks on BSD.
    """
    if sys.platform == "linux":
        packed = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0)  # type, whence, start, len, pid
    else:
        packed = struct.pack("qqihh", LOCKED_BYTE, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)  # start, len, pid, type, whence
    return packed
