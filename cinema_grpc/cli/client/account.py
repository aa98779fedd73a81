"""`cinema login`, `logout` and `register`."""

import os
from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.session import PASSWORD_VARIABLE, ClientCommand, Session
from cinema_grpc.cli.client.texts import checked

if TYPE_CHECKING:
    from cinema_client import Client
    from cinema_client.cinema.v1.user_pb2 import User

# ruff: noqa: PLC0415 (see session.py)


@click.command("login", cls=ClientCommand)
@click.argument("username")
def login(session: Session, username: str) -> None:
    """Sign in to a server.

    Prompts for the password unless the environment variable CINEMA_PASSWORD has it. The tokens of the session are kept
    in your configuration folder, readable by you alone, for each server.
    """
    session.store.prepare()
    password = _password(new=False)
    with session.client(anonymous=True) as client:
        _keep(session, client.login(username, password), client)


@click.command("register", cls=ClientCommand)
@click.argument("username")
@click.option("--full-name", help="Your name. By default USERNAME.")
@click.option("--email", required=True, help="Your email address.")
def register(session: Session, username: str, full_name: str | None, email: str) -> None:
    """Create an account for a customer, and sign in to it.

    Prompts for the password unless the environment variable CINEMA_PASSWORD has it.
    """
    session.store.prepare()
    password = _password(new=True)
    with session.client(anonymous=True) as client:
        _keep(session, client.register(username, password, full_name or username, email), client)


@click.command("logout", cls=ClientCommand)
def logout(session: Session) -> None:
    """Sign out of a server: end the session, and delete its tokens."""
    from cinema_client.cinema.v1.auth_service_pb2 import LogoutResponse
    from rich.text import Text

    sign_in = session.store.load(session.server.url)
    with session.client() as client:
        client.logout()
    session.store.delete(session.server.url)
    session.carried_out = True
    text = f"signed out of {session.server.url}" if sign_in else f"you were not signed in to {session.server.url}"
    session.show(LogoutResponse(), lambda: Text(text))


def _keep(session: Session, user: "User", client: "Client") -> None:
    """Keep the tokens that a client got, and write who is signed in."""
    from cinema_client.cinema.v1 import user_pb2
    from rich.text import Text

    from cinema_grpc.cli.client.output import name

    if client.tokens is not None:
        session.keep(user.username, client.tokens)
    session.carried_out = True
    role = name(user_pb2.Role, user.role).lower()
    session.show(user, lambda: Text(f"signed in to {session.server.url} as {user.username} ({role})"))


def _password(*, new: bool) -> str:
    """Return the password in the environment, or the one that a prompt asks for."""
    given = os.environ.get(PASSWORD_VARIABLE)
    return checked(
        "password", given or str(click.prompt("Password", hide_input=True, confirmation_prompt=new, err=True))
    )
