"""The file of an SQLite database: made for its owner alone, and refused if it is another program's."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

VERSION_TABLE = "alembic_version"


def make_private(path: Path) -> None:
    """Make a file that only its owner may read and write, if there is none; SQLite gives its journal the same mode.

    A file that is there is not even opened: to close it again would drop the locks that SQLite holds on it in this
    process (https://www.sqlite.org/howtocorrupt.html, 2.2).

    Raises:
        OSError: It can't be made.
    """
    with suppress(FileExistsError):
        # Where a symbolic link leads, as O_EXCL does not follow it.
        os.close(os.open(path.resolve(), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def refuse_another_programs(path: Path, connection: sqlite3.Connection) -> None:
    """Check that a file is empty or ours, before anything about it is changed.

    Args:
        path: The file.
        connection: A connection to it.

    Raises:
        FileExistsError: It holds tables of another program.
        sqlite3.Error: It is no database.
    """
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    tables = {name for name in names if not name.startswith("sqlite_")}
    if tables and VERSION_TABLE not in tables:
        raise FileExistsError(
            f"the file belongs to another program: it holds {', '.join(sorted(tables)[:3])}; use another file"
        )
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if not pages and path.stat().st_size:  # less than a page, which SQLite would overwrite
        raise sqlite3.DatabaseError("file is not a database")
