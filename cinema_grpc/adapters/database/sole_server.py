"""Keeps a second server from an SQLite file, by locks that the system releases when the process ends.

Each of the two locks finds what the other does not:

- The lock on the file itself finds the same file under another name: a hard link, a bind mount, after a rename.
- The lock on a file beside it finds a server whose database file was moved away, so that a new one was made. It is also
  the only one on a system without locks of open files (F_OFD_SETLK).
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
"""Beyond the end of any file, and far from the bytes that SQLite locks: some 510 from 2**30 on."""


class FileInUse(Exception):
    """Another server uses the file, or the file can't be locked; the message says which."""


def lock_file(database: Database) -> ExitStack:
    """Lock a database that only one server may use, until the context is left. Other commands may still use it.

    Leave it after the database is closed. A database that servers share is not locked.

    Raises:
        FileInUse: Another server uses it, or it can't be locked.
    """
    if database.driver.shared:
        return ExitStack()
    path = Path(str(database.engine.url.database)).resolve()  # SQLite's journal is beside the target of a link too
    with ExitStack() as locks:
        try:
            make_private(path)
            beside = _open(locks, Path(f"{path}{SUFFIX}"), os.O_CREAT)
            fcntl.flock(beside, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if SET_LOCK is not None:
                fcntl.fcntl(_open(locks, path), SET_LOCK, _one_byte())
        except BlockingIOError as error:
            raise FileInUse(f"another server uses {path.name}: stop that one first, or use PostgreSQL") from error
        except OSError as error:
            raise FileInUse(f"can't lock the file: {error}") from error
        return locks.pop_all()


def _open(locks: ExitStack, path: Path, flags: int = 0) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    locks.callback(os.close, descriptor)
    return descriptor


def _one_byte() -> bytes:
    """Return a `struct flock` for an exclusive lock of LOCKED_BYTE.

    The lock belongs to the open file, not to the process (an "open file description lock"). The system drops a lock of
    the process as soon as SQLite closes any descriptor of the file, and flock(2) conflicts with SQLite's locks on BSD.
    """
    if sys.platform == "linux":
        packed = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, LOCKED_BYTE, 1, 0)  # type, whence, start, len, pid
    else:
        packed = struct.pack("qqihh", LOCKED_BYTE, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)  # start, len, pid, type, whence
    return packed
