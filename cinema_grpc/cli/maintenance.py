"""The commands that work on the database and end: migrations, the audit, accounts."""

import secrets
from pathlib import Path

from cinema_grpc.adapters.database.audit import CannotCopy, Report, audit
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.driver import Rights
from cinema_grpc.adapters.database.migrate import ADDING_ACCOUNTS, READING, SWITCHING_ACCOUNTS
from cinema_grpc.config import PREFIX, BadSettings, Settings
from cinema_grpc.domain.account import User
from cinema_grpc.server import CinemaServer
from cinema_grpc.storage import bring_up_to_date


async def migrate_database(settings: Settings, rights: Rights, *, with_migration: bool = True) -> None:
    """Migrate the schema, or only check that it is up to date; then check the rights of the database user.

    Raises:
        BadSettings: The schema is not up to date, a right is missing, or the database can't be used.
    """
    database = Database(settings.database_url)
    try:
        await bring_up_to_date(database, rights, with_migration=with_migration)
    finally:
        await database.close()


async def audit_database(settings: Settings) -> Report:
    """Return the report of an audit, which changes nothing.

    Raises:
        BadSettings: There is no such database, its schema is not up to date, or there is no room for a copy of it.
        StorageUnavailable: The database can't be read.
    """
    database = Database(settings.database_url)
    check_exists(database)
    try:
        await bring_up_to_date(database, READING, with_migration=False)
        return await audit(database)
    except CannotCopy as error:
        if error.of_source:
            raise BadSettings(f"{PREFIX}DATABASE_URL: {error}") from error
        raise BadSettings(f"TMPDIR: {error}; set it to a folder with enough room") from error
    finally:
        await database.close()


async def create_staff(settings: Settings, username: str, password: str, full_name: str, email: str) -> User:
    """Create a staff account, while a server runs or before its first start; return it.

    Raises:
        BadSettings: The database can't be used.
        InvalidRequest: An argument is malformed, or the password is too common.
        UsernameTaken, EmailTaken: Another account has it.
        StorageUnavailable: The database failed.
    """
    server = _server_without_tokens(settings)
    try:
        await bring_up_to_date(server.database, ADDING_ACCOUNTS)
        return await server.accounts.create_staff(username, password, full_name, email)
    finally:
        await server.close()


async def create_service(settings: Settings, name: str, password: str) -> User:
    """Create an account for a program, while a server runs or before its first start; return it.

    Raises:
        BadSettings: The database can't be used.
        InvalidRequest: The name is malformed, or the password is too common.
        UsernameTaken: Another account has it.
        StorageUnavailable: The database failed.
    """
    server = _server_without_tokens(settings)
    try:
        await bring_up_to_date(server.database, ADDING_ACCOUNTS)
        return await server.accounts.create_service(name, password)
    finally:
        await server.close()


async def switch_account(settings: Settings, username: str, *, disable: bool) -> User | None:
    """Disable or enable an account; return it, or None if no account has the username.

    Raises:
        BadSettings: There is no such database, or its schema is not up to date.
        StorageUnavailable: The database failed.
    """
    server = _server_without_tokens(settings)
    try:
        check_exists(server.database)
        await bring_up_to_date(server.database, SWITCHING_ACCOUNTS, with_migration=False)
        return await server.accounts.principals.set_disabled(username, disabled=disable)
    finally:
        await server.close()


async def set_password(settings: Settings, username: str, password: str) -> User | None:
    """Replace the password of an account, end its sessions, and revoke its access tokens.

    A disabled account stays disabled.

    Returns:
        The account; None if no account has the username.

    Raises:
        BadSettings: There is no such database, or its schema is not up to date.
        InvalidRequest: The password breaks a rule.
        StorageUnavailable: The database failed.
    """
    server = _server_without_tokens(settings)
    try:
        check_exists(server.database)
        await bring_up_to_date(server.database, SWITCHING_ACCOUNTS, with_migration=False)
        return await server.accounts.set_password(username, password, revoke_tokens=True)
    finally:
        await server.close()


def _server_without_tokens(settings: Settings) -> CinemaServer:
    """Build a server for a command that issues no tokens and takes no payments, and so needs no keys."""
    stripe = {"payments": "simulated", "stripe_secret_key": None, "stripe_secret_key_file": None}
    without_keys = {"signing_keys": None, "ticket_keys": None, **stripe}
    return CinemaServer(settings.model_copy(update=without_keys), secrets.token_bytes(32))


def check_exists(database: Database) -> None:
    """Refuse an SQLite file that does not exist; SQLite would create it.

    Raises:
        BadSettings: It does not exist.
    """
    file = str(database.engine.url.database)
    if database.engine.dialect.name == "sqlite" and not Path(file).exists():
        raise BadSettings(f"{PREFIX}DATABASE_URL: there is no file {file}")
