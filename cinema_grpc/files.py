"""Reads the files that settings name: keys, certificates, authorities."""

import errno
import os
import stat
from pathlib import Path

LARGEST_FILE = 1024 * 1024
"""Maximum size of a file in bytes. Bundles of public authorities have about 250 KB."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read_regular(path: Path, *, private: bool = False) -> bytes:
    """Return the content of a regular file. A device or a pipe is refused, since reading it may never end.

    Args:
        path: The file, or a symbolic link to it, as Kubernetes mounts secrets.
        private: Whether it holds a private key, which other users must not be able to replace.

    Raises:
        OSError: The file can't be read, is not a regular file, is larger than 1 MiB, or is private and writable by
            other users. `strerror` says which.
    """
    # O_NONBLOCK keeps the open itself from waiting for the other end of a named pipe.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        if private and mode & WRITABLE_BY_OTHERS:
            problem = f"Other users can change it (mode {stat.S_IMODE(mode):04o}); run chmod 600 on it"
            raise OSError(errno.EPERM, problem, str(path))
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST_FILE + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"Larger than {LARGEST_FILE} bytes", str(path))
    return content


def readable_by_all(path: Path) -> bool:
    """Return whether every user of this machine may read a file; False if its mode can't be read."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
