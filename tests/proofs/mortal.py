"""`cinema` that kills itself at a statement: python -m tests.proofs.mortal serve.

The environment says at which: MORTAL_SINCE is what statements are counted after, the "call" or the "write" of a
cancellation, or "refund"; MORTAL_AT is the number of the fatal one, "COMMIT" for the first of these, or both, as in
"4,COMMIT", for what comes first; and MORTAL_DELAY is how many seconds later the process dies, 0 for before it.
What it dies at is printed, and which statements before were not like the one before them.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from cinema_grpc import server
from cinema_grpc.adapters.database import sqlite
from cinema_grpc.adapters.database.box_office_store import SqlTransaction
from cinema_grpc.adapters.database.sqlite_connection import SqliteConnection
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.scheduling import Scheduling
from cinema_grpc.cli import main, serving
from tests.faults import make_breakable

SINCE: dict[str, list[tuple[type, str]]] = {
    "call": [(Scheduling, "cancel")],
    "write": [(Scheduling, "cancel"), (SqlTransaction, "commit")],
    "refund": [(Refunds, "run_pass")],
}
"""The methods after whose calls, in this order, statements are counted."""
LIKE = 30
"""How many characters two statements have in common if they do the same to two rows."""


class Death:
    """Counts statements, and kills the process at one."""

    def __init__(self, at: str, delay: float) -> None:
        self._at = at.split(",")
        self._delay = delay
        self._count = 0
        self._latest = ""
        self._firsts: list[int] = []
        self._counting = False

    def begin(self) -> None:
        """Count from now on."""
        self._counting = True

    def note(self, statement: str) -> bool:
        """Take note of a statement that is about to run; return that it should."""
        if self._counting:
            self._count += 1
            text = " ".join(statement.split())[:LIKE]
            if text != self._latest:
                self._firsts.append(self._count)
                self._latest = text
            if str(self._count) in self._at or statement in self._at:
                died = {"died": text, "statement": self._count, "firsts": self._firsts}
                self._counting = False
                os.write(1, f"{json.dumps(died)}\n".encode())
                if self._delay:
                    threading.Thread(target=self._die, daemon=True).start()
                else:
                    self._die()
        return False

    def _die(self) -> None:
        time.sleep(self._delay)
        os.kill(os.getpid(), signal.SIGKILL)


def when_called(methods: Sequence[tuple[type, str]], then: Callable[[], None]) -> None:
    """Do something once methods have been called one after the other."""
    (owner, name), *others = methods
    method = getattr(owner, name)

    async def noted(*arguments: Any, **options: Any) -> Any:
        setattr(owner, name, method)
        if others:
            when_called(others, then)
        else:
            then()
        return await method(*arguments, **options)

    setattr(owner, name, noted)


def be_mortal(death: Death, since: str) -> None:
    """Have all connections note their statements."""
    when_called(SINCE[since], death.begin)

    class TracedConnection(SqliteConnection):
        def __init__(self, database: str, **options: Any) -> None:
            super().__init__(database, **options)
            self.set_trace_callback(death.note)

    class MortalServer(server.CinemaServer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            if self.database.driver.shared:
                make_breakable(self.database).fails = death.note

    sqlite.SqliteConnection = TracedConnection  # type: ignore[assignment,attr-defined]
    serving.CinemaServer = MortalServer  # type: ignore[attr-defined]


if __name__ == "__main__":
    be_mortal(Death(os.environ["MORTAL_AT"], float(os.environ["MORTAL_DELAY"])), os.environ["MORTAL_SINCE"])
    main()
