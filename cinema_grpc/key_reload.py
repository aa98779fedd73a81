"""The keys that the settings name, for access tokens and for tickets, read again when their files change."""

import asyncio
from collections.abc import Callable

import structlog

from cinema_grpc.adapters.signing_keys import BadKeys, SigningKey, derived_key, load_keys
from cinema_grpc.config import PREFIX, BadSettings, Settings

logger = structlog.get_logger()

SECONDS_BETWEEN_RELOADS = 5.0
TICKET_PURPOSE = b"cinema.v1 ticket key"


def read_signing_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """Return the signing keys that the settings name; none if they name none.

    Raises:
        BadSettings: The keys can't be read or used.
    """
    if settings.signing_keys is None:
        return ()
    try:
        return load_keys(settings.signing_keys)
    except BadKeys as error:
        raise BadSettings(f"{PREFIX}SIGNING_KEYS: {error}") from error


def read_ticket_keys(settings: Settings, secret: bytes | None) -> tuple[SigningKey, ...]:
    """Return the keys of tickets: those that the settings name, then the one that `secret` stands for.

    So codes that were signed with the latter stay good when keys are named.

    Args:
        settings: The settings.
        secret: The secret of access tokens; None if there is none.

    Raises:
        BadSettings: The keys can't be read or used, or sign access tokens too.
    """
    derived = () if secret is None else (derived_key(secret, TICKET_PURPOSE),)
    if settings.ticket_keys is None:
        return derived
    try:
        keys = load_keys(settings.ticket_keys)
    except BadKeys as error:
        raise BadSettings(f"{PREFIX}TICKET_KEYS: {error}") from error
    if any(key.algorithm != "EdDSA" for key in keys):
        raise BadSettings(
            f"{PREFIX}TICKET_KEYS: names {settings.ticket_keys}, which contains a P-256 key; keys must be Ed25519"
        )
    if {key.kid for key in keys} & {key.kid for key in read_signing_keys(settings)}:
        raise BadSettings(
            f"{PREFIX}TICKET_KEYS: names {settings.ticket_keys}, which contains a key of {PREFIX}SIGNING_KEYS; "
            "tickets need keys of their own"
        )
    return keys + derived


class KeyReload:
    """Replaces keys by those on the disk."""

    def __init__(
        self,
        purpose: str,
        read: Callable[[], tuple[SigningKey, ...]],
        use: Callable[[tuple[SigningKey, ...]], None],
        keys: tuple[SigningKey, ...],
    ) -> None:
        """Start from the keys that are in use.

        Args:
            purpose: What the keys are, for the log.
            read: Returns the keys on the disk.
            use: Replaces the keys in use.
            keys: The keys in use.
        """
        self._purpose = purpose
        self._read = read
        self._use = use
        self._keys = keys

    async def run_pass(self) -> None:
        """Use the keys on the disk, if they have changed: another key has another `kid`.

        On an error the previous keys stay in use.

        Raises:
            BadSettings: The keys can't be read or used.
        """
        keys = await asyncio.to_thread(self._read)
        if [(key.kid, key.private is None) for key in keys] != [(key.kid, key.private is None) for key in self._keys]:
            self._use(keys)
            self._keys = keys
            logger.info(f"{self._purpose} changed", signing=keys[0].kid, verifying=[key.kid for key in keys])
