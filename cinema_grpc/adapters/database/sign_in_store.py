"""Records of sign-ins in the database, shared by all replicas."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.schema import sign_in
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.domain.sign_in import Limit, Record, after_success, after_use, unseen, wait_for_use

T = TypeVar("T")
Records = Mapping[bytes, Record]


class SqlSignInStore:
    """Stores records of sign-ins. Fulfils SignInStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, subjects: Collection[bytes]) -> tuple[datetime, dict[bytes, Record]]:
        """Return the current time and the records of some subjects."""
        parameters: dict[str, Any] = {f"subject{number}": subject for number, subject in enumerate(subjects)}
        now, rows = await self._database.read(_records_of(len(subjects)), **parameters)
        return now, _to_records(subjects, {subject: Record(*row) for subject, *row in rows}, now)

    async def add_failure(self, counted: Mapping[bytes, Limit]) -> None:
        """Add a failure to the record of each subject. Completes even if the caller is cancelled."""

        def add(records: Records, now: datetime) -> tuple[None, Records]:
            return None, {subject: records[subject].after_failure(now, limit) for subject, limit in counted.items()}

        await self._change(counted, add, must_run=True)

    async def use(self, subject: bytes, most: int) -> timedelta:
        """Count one use of a subject, at most `most` an hour; return zero, or the time until the next hour begins."""

        def use(records: Records, now: datetime) -> tuple[timedelta, Records]:
            wait = wait_for_use(records[subject], now, most)
            return wait, {} if wait else {subject: after_use(records[subject], now)}

        return await self._change((subject,), use)

    async def add_success(self, account_at_network: bytes, account: bytes, /) -> None:
        """Record that an account signed in from a client network, and reset the failures of both subjects."""

        def add(_: Records, now: datetime) -> tuple[None, Records]:
            return None, {account_at_network: after_success(now), account: unseen(now)}

        await self._change((account_at_network, account), add)

    async def _change(
        self,
        subjects: Collection[bytes],
        change: Callable[[Records, datetime], tuple[T, Records]],
        *,
        must_run: bool = False,
    ) -> T:
        """Replace records by those that `change` returns beside the result.

        A record that is reset stays as a row that has expired. If it were deleted, concurrent calls would all insert it
        again and conflict.
        """
        locked = select(sign_in).where(sign_in.c.subject.in_(subjects)).order_by(sign_in.c.subject).with_for_update()

        def work(connection: Connection) -> T:
            stored = {subject: Record(*row) for subject, *row in connection.execute(locked)}
            now = self._database.time(connection)
            result, after = change(_to_records(subjects, stored, now), now)
            for subject, record in sorted(after.items()):
                if subject in stored:
                    connection.execute(update(sign_in).where(sign_in.c.subject == subject).values(asdict(record)))
                elif record != unseen(now):
                    connection.execute(insert(sign_in).values({"subject": subject, **asdict(record)}))
            return result

        return await self._database.transact(work, must_run=must_run, retry_conflicts=True)


@cache
def _records_of(count: int) -> Query:
    subjects = [bindparam(f"subject{number}", type_=sign_in.c.subject.type) for number in range(count)]
    return Query(select(sign_in).where(sign_in.c.subject.in_(subjects)))


def _to_records(subjects: Collection[bytes], stored: Records, now: datetime) -> dict[bytes, Record]:
    """Return the record of each subject; expired ones do not count."""
    found = {subject: record for subject, record in stored.items() if record.expire_time > now}
    return {subject: found.get(subject) or unseen(now) for subject in subjects}
