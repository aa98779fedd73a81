"""Accounts, sessions and access tokens, built from the settings."""

from dataclasses import dataclass
from functools import partial

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.session_store import SqlSessionStore
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.passwords import Argon2Passwords, load_commonest_passwords
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.sessions import Sessions
from cinema_grpc.application.throttle import SignInThrottle
from cinema_grpc.config import Settings
from cinema_grpc.key_reload import KeyReload, read_signing_keys
from cinema_grpc.transport import security_log


@dataclass(frozen=True, slots=True)
class Identity:
    """The parts that know who a caller is.

    Attributes:
        account_store: Stores accounts.
        accounts, sessions: The services.
        tokens: Issues and verifies access tokens.
        key_reload: Reads signing keys that have changed.
    """

    account_store: SqlAccountStore
    accounts: Accounts
    sessions: Sessions
    tokens: JwtAccessTokens
    key_reload: KeyReload


def build_identity(
    settings: Settings, jwt_secret: bytes | None, database: Database, clock: Clock, passwords: Argon2Passwords
) -> Identity:
    """Build the parts.

    Args:
        settings: The settings.
        jwt_secret: The secret that signs access tokens if the settings name no keys, and verifies earlier tokens.
        database: The database.
        clock: The clock by which tokens expire.
        passwords: The password hasher.

    Raises:
        BadSettings: The signing keys can't be read or used.
    """
    keys = read_signing_keys(settings)
    tokens = JwtAccessTokens(jwt_secret, clock, keys=keys)
    key_reload = KeyReload("signing keys", partial(read_signing_keys, settings), tokens.use_keys, keys)
    store, note = SqlAccountStore(database), security_log.note
    throttle = SignInThrottle(SqlSignInStore(database), settings.sign_in_limits, settings.longest_wait_seconds)
    accounts = Accounts(store, passwords, tokens, throttle, note, clock, load_commonest_passwords())
    return Identity(
        account_store=store,
        accounts=accounts,
        sessions=Sessions(SqlSessionStore(database), tokens, settings.refresh_grace, note),
        tokens=tokens,
        key_reload=key_reload,
    )
