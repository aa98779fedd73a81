"""Reads values of an error's metadata, which are texts."""

from collections.abc import Mapping
from datetime import datetime


def text(metadata: Mapping[str, str], key: str) -> str:
    """Return a text as it is."""
    return metadata[key]


def number(metadata: Mapping[str, str], key: str) -> int:
    """Return a whole number."""
    return int(metadata[key])


def flag(metadata: Mapping[str, str], key: str) -> bool:
    """Return whether a flag is set."""
    return metadata.get(key) == "true"


def time(metadata: Mapping[str, str], key: str) -> datetime:
    """Return a time in UTC."""
    return datetime.fromisoformat(metadata[key])


def names(metadata: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Return the names of a list; none if it was not sent."""
    return tuple(filter(None, metadata.get(key, "").split(",")))
