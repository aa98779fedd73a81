"""How values are stored: exact text, moments and durations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return a moment as it is stored: microseconds since 1970 in UTC."""
    return (moment - EPOCH) // MICROSECOND


def moment(microseconds: int) -> datetime:
    """Return a stored moment."""
    return EPOCH + timedelta(microseconds=microseconds)


def optional_microseconds(moment: datetime | None) -> int | None:
    """Return a moment as it is stored; None stays None."""
    return None if moment is None else microseconds(moment)


def optional_moment(value: int | None) -> datetime | None:
    """Return a stored moment; None stays None."""
    return None if value is None else moment(value)


def searchable(text: str) -> str:
    """Return text to look for in a database: "" for text with a NUL, which PostgreSQL refuses.

    No stored name or identifier is "" or has a NUL: the transport refuses NUL in what is stored. What is looked up may
    hold anything.
    """
    return "" if "\0" in text else text


def to_json(value: Any) -> str:
    """Return a parameter of JSON."""
    return orjson.dumps(value).decode()


def from_json(value: Any) -> Any:
    """Return what a column of JSON holds; its text on SQLite, decoded by the driver on PostgreSQL; () for null."""
    return orjson.loads(value) if isinstance(value, str) else value or ()


class ExactText(TypeDecorator[str]):
    """Text that every database compares and sorts by code point, whatever its locale."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        """Return the type for a database."""
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is stored or looked for."""
        return searchable(value) if value is not None and dialect.name == "postgresql" else value


class Instant(TypeDecorator[datetime]):
    """A moment, stored as microseconds since 1970 in UTC: exact, sorted, the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 (SQLAlchemy's)
        """Return what is stored."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (SQLAlchemy's)
        """Return the moment."""
        return None if value is None else moment(value)


class Duration(TypeDecorator[timedelta]):
    """A duration, stored as microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002 (SQLAlchemy's)
        """Return what is stored."""
        return None if value is None else value // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:  # noqa: ARG002 (SQLAlchemy's)
        """Return the duration."""
        return None if value is None else timedelta(microseconds=value)
