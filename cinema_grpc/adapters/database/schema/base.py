"""What all tables share."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import MetaData, text

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
    }
)


def where(condition: str) -> Mapping[str, Any]:
    """Return the arguments of an Index that has only the rows that meet a condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
