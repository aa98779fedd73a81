"""`cinema version` and `cinema completion`."""

import json

import click
from click.shell_completion import get_completion_class

from cinema_grpc import __version__


@click.command("version")
@click.option(
    "-o", "--output", type=click.Choice(("text", "json")), default="text", help="What to write: text or json."
)
def version(output: str) -> None:
    """Show the version of this program."""
    click.echo(json.dumps({"version": __version__}) if output == "json" else f"cinema {__version__}")


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write a script that completes commands and options in a SHELL: see docs/cli.md."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 (one of the three)
    click.echo(kind(ctx.find_root().command, {}, "cinema", "_CINEMA_COMPLETE").source())
