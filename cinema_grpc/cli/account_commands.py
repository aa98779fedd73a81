"""The commands of `cinema` for accounts: of staff and services, passwords, disabling."""

import os
from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.command import LOGGED, SettingsCommand, check_text, print_lines, run, settings_and_log
from cinema_grpc.cli.printing import refuse

if TYPE_CHECKING:
    from cinema_grpc.domain.account import User

# Commands import what they need when they run: see commands.py.
# ruff: noqa: PLC0415

PASSWORD_VARIABLE = "CINEMA_STAFF_PASSWORD"  # noqa: S105 (its name, not a password)
NEW_PASSWORD_VARIABLE = "CINEMA_NEW_PASSWORD"  # noqa: S105 (likewise)
SERVICE_PASSWORD_VARIABLE = "CINEMA_SERVICE_PASSWORD"  # noqa: S105 (likewise)


@click.command("create-staff", cls=SettingsCommand, reads=LOGGED)
@click.argument("username")
@click.option("--full-name", help="The person's name. By default the username.")
@click.option("--email", default="", help="The person's email address. Optional.")
def create_staff_command(username: str, full_name: str | None, email: str) -> None:
    """Create a staff account, while the server runs or before its first start.

    Prompts for the password unless the environment variable CINEMA_STAFF_PASSWORD has it.
    """
    from cinema_grpc.adapters.database.migrate import ADDING_ACCOUNTS
    from cinema_grpc.cli.maintenance import with_accounts
    from cinema_grpc.database_url import without_secrets

    settings = settings_and_log()
    check_text(USERNAME=username, FULL_NAME=full_name, EMAIL=email)
    password = _new_password(PASSWORD_VARIABLE)
    user = run(
        with_accounts(
            settings,
            ADDING_ACCOUNTS,
            lambda accounts: accounts.create_staff(username, password, full_name or username, email),
            with_migration=True,
        )
    )
    database = without_secrets(settings.database_url)
    print_lines(f"{user.username} is staff now, with the user_id {user.user_id}, in {database}")


@click.command("create-service", cls=SettingsCommand, reads=LOGGED)
@click.argument("name")
def create_service_command(name: str) -> None:
    """Create an account for a program that reads events, while the server runs or before its first start.

    The program signs in with NAME as its username. Prompts for the password unless the environment variable
    CINEMA_SERVICE_PASSWORD has it.
    """
    from cinema_grpc.adapters.database.migrate import ADDING_ACCOUNTS
    from cinema_grpc.cli.maintenance import with_accounts
    from cinema_grpc.database_url import without_secrets

    settings = settings_and_log()
    check_text(NAME=name)
    password = _new_password(SERVICE_PASSWORD_VARIABLE)
    user = run(
        with_accounts(
            settings, ADDING_ACCOUNTS, lambda accounts: accounts.create_service(name, password), with_migration=True
        )
    )
    database = without_secrets(settings.database_url)
    print_lines(f"{user.username} is a service now, with the user_id {user.user_id}, in {database}")


@click.command("set-password", cls=SettingsCommand, reads=LOGGED)
@click.argument("username")
def set_password_command(username: str) -> None:
    """Set the password of an account of any role, such as a forgotten or a stolen one, while servers run.

    Ends its sessions. Every server refuses its access tokens within 5 seconds. A disabled account stays disabled.
    Prompts for the password unless the environment variable CINEMA_NEW_PASSWORD has it.
    """
    from cinema_grpc.adapters.database.migrate import SWITCHING_ACCOUNTS
    from cinema_grpc.cli.maintenance import with_accounts

    settings = settings_and_log()
    check_text(USERNAME=username)
    password = _new_password(NEW_PASSWORD_VARIABLE)
    user = run(
        with_accounts(
            settings,
            SWITCHING_ACCOUNTS,
            lambda accounts: accounts.set_password(username, password, revoke_tokens=True),
        )
    )
    if user is None:
        refuse(f"there is no account named {username!r}")
    disabled = ", and is still disabled: see `cinema enable-account`" if user.disabled else ""
    click.echo(f"{user.username} has a new password, with the user_id {user.user_id}{disabled}")


@click.command("disable-account", cls=SettingsCommand, reads=LOGGED)
@click.argument("username")
def disable_account_command(username: str) -> None:
    """Disable an account of any role, such as a stolen one, while servers run.

    Ends its sessions and refuses sign-ins. Every server refuses its access tokens within 5 seconds.
    """
    user = _switch_account(username, disable=True)
    click.echo(f"{user.username} is disabled, with the user_id {user.user_id}; running servers refuse it within 5 s")


@click.command("enable-account", cls=SettingsCommand, reads=LOGGED)
@click.argument("username")
def enable_account_command(username: str) -> None:
    """Let a disabled account sign in again. Its earlier sessions and access tokens stay revoked."""
    user = _switch_account(username, disable=False)
    click.echo(f"{user.username} is enabled, with the user_id {user.user_id}")


def _switch_account(username: str, *, disable: bool) -> "User":
    from cinema_grpc.adapters.database.migrate import SWITCHING_ACCOUNTS
    from cinema_grpc.cli.maintenance import with_accounts

    settings = settings_and_log()
    check_text(USERNAME=username)
    user = run(
        with_accounts(
            settings,
            SWITCHING_ACCOUNTS,
            lambda accounts: accounts.principals.set_disabled(username, disabled=disable),
        )
    )
    if user is None:
        refuse(f"there is no account named {username!r}")
    return user


def _new_password(variable: str) -> str:
    """Return the password in an environment variable, or the one that a prompt asks for."""
    password: str = os.environ.get(variable) or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    check_text(password=password)
    return password


ACCOUNT_COMMANDS = (
    create_staff_command,
    create_service_command,
    set_password_command,
    disable_account_command,
    enable_account_command,
)
