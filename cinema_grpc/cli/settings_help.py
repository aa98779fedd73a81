"""The settings as tables list them: `cinema serve --help` and docs/reference.md."""

from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from cinema_grpc.config import Settings, variable

TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", Path: "path", SecretStr: "secret"}


@dataclass(frozen=True, slots=True)
class SettingHelp:
    """The description of a setting.

    Attributes:
        variable: The environment variable.
        type: The type or the unit of its value, such as "seconds".
        default: The default value, or "not set".
        bounds: The range of a number, or the values to choose from; "" if there is neither.
        meaning: The meaning, in a sentence or more.
    """

    variable: str
    type: str
    default: str
    bounds: str
    meaning: str


def describe_settings() -> list[SettingHelp]:
    """Return the description of each setting, in the order of their declaration."""
    return [
        SettingHelp(
            variable=variable(name),
            type=_type_of(name, field),
            default="not set" if field.default is None else str(field.default).lower(),
            bounds=_bounds_of(field),
            meaning=" ".join((field.description or "").split()),
        )
        for name, field in Settings.model_fields.items()
    ]


def _type_of(name: str, field: FieldInfo) -> str:
    for unit in ("seconds", "bytes"):
        if unit in name.split("_"):
            return unit
    if get_origin(field.annotation) is Literal:
        return "choice"
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not NoneType]
    return TYPES[kinds[0]]


def _bounds_of(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(get_args(field.annotation))
    bounds = {
        name: f"{value:,}"
        for constraint in field.metadata
        for name in ("ge", "le", "lt")
        if (value := getattr(constraint, name, None)) is not None
    }
    if not bounds:
        return ""
    return f"{bounds['ge']} to {bounds['le']}" if "le" in bounds else f"{bounds['ge']} to less than {bounds['lt']}"
