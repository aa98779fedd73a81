"""The secrets of a demo, kept beside its database so that a restart keeps passwords and sessions."""

import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import make_url

from cinema_grpc.config import Settings
from cinema_grpc.files import read_regular

ENDING = "-demo"
"""What is added to the name of the SQLite file."""


@dataclass(frozen=True, slots=True)
class DemoSecrets:
    """The passwords of the demo's accounts, and the secret that signs access tokens if the settings have none."""

    customer_password: str
    staff_password: str
    jwt_secret: str


def read_or_make(settings: Settings) -> DemoSecrets:
    """Return the secrets beside the SQLite file of the settings, or new ones. Writes nothing."""
    made = DemoSecrets(secrets.token_urlsafe(12), secrets.token_urlsafe(12), secrets.token_hex(32))
    path = _path(settings)
    if path is not None:
        with suppress(OSError, ValueError, TypeError):  # there is none, or it is not whole: new ones do
            kept = DemoSecrets(**json.loads(read_regular(path, private=True)))
            if all(
                isinstance(value, str) and len(value) >= len(asdict(made)[name]) for name, value in asdict(kept).items()
            ):
                return kept
    return made


def keep(settings: Settings, demo: DemoSecrets) -> Path | None:
    """Write secrets beside the SQLite file of the settings, with mode 0600; return the file.

    With PostgreSQL they are not kept: return None.

    Raises:
        OSError: The file can't be written.
    """
    path = _path(settings)
    if path is not None:
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.unlink(missing_ok=True)
        unfinished.touch(mode=0o600, exist_ok=False)
        unfinished.write_text(json.dumps(asdict(demo)))
        unfinished.replace(path)
    return path


def kept(settings: Settings) -> Path | None:
    """Return the file with the secrets of an earlier start; None if there is none."""
    path = _path(settings)
    return path if path is not None and path.exists() else None


def _path(settings: Settings) -> Path | None:
    url = make_url(settings.database_url)
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(f"{url.database}{ENDING}") if is_file else None
