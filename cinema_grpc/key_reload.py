"""The signing keys that the settings name, read again when their files change."""

import asyncio

import structlog

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.signing_keys import BadKeys, SigningKey, load_keys
from cinema_grpc.config import PREFIX, BadSettings, Settings

logger = structlog.get_logger()

SECONDS_BETWEEN_RELOADS = 5.0


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


class KeyReload:
    """Replaces the keys of access tokens by those on the disk."""

    def __init__(self, settings: Settings, tokens: JwtAccessTokens, keys: tuple[SigningKey, ...]) -> None:
        """Start from the keys that `tokens` has."""
        self._settings = settings
        self._tokens = tokens
        self._keys = keys

    async def run_pass(self) -> None:
        """Use the keys on the disk, if they have changed. On an error the previous keys stay in use.

        Raises:
            BadSettings: The keys can't be read or used.
        """
        keys = await asyncio.to_thread(read_signing_keys, self._settings)
        if [(key.kid, key.private is None) for key in keys] != [(key.kid, key.private is None) for key in self._keys]:
            self._tokens.use_keys(keys)
            self._keys = keys
            logger.info("signing keys changed", signing=keys[0].kid, verifying=[key.kid for key in keys])
