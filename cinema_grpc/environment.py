"""Reads the settings from environment variables, and names the variable that is wrong."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from cinema_grpc.config import PREFIX, BadSettings, Settings, variable

TYPO_SIMILARITY = 0.9
"""Similarity from which an unknown name counts as a typo of a known one, as difflib measures it."""


def read_settings() -> Settings:
    """Return the settings in the environment.

    Raises:
        BadSettings: A value is wrong, or a variable has almost the name of a setting.
    """
    _check_names(os.environ)
    _check_encoding(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        problems = [f"{variable(str(each['loc'][0]))}: {_readable(each['msg'])}" for each in error.errors()]
        raise BadSettings("; ".join(problems)) from error


def _check_names(names: Iterable[str]) -> None:
    """Refuse misspelled names of settings.

    Other names are allowed: Kubernetes sets CINEMA_PORT and the like for a service that is called cinema.
    """
    known = {field.upper() for field in Settings.model_fields}
    for name in sorted(names):
        field = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and field not in known:
            for meant in get_close_matches(field, known, n=1, cutoff=TYPO_SIMILARITY):
                raise BadSettings(f"{name}: is not a setting; {PREFIX}{meant} is")


def _check_encoding(environment: Mapping[str, str]) -> None:
    """Refuse bytes that are not UTF-8. Python keeps them as surrogates, which no log and no database accepts."""
    for name, value in environment.items():
        if name.upper().startswith(PREFIX):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise BadSettings(f"{name}: must be UTF-8") from error


def _readable(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")
