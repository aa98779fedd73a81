"""The commands in the README and of the demo work as pasted."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cinema_grpc.cli import main
from cinema_grpc.transport.authentication import Access
from cinema_grpc.transport.contract import ACCESS
from tests.certificates import Authority, write
from tests.e2e.conftest import SECONDS, serving

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def commands(program: str) -> list[str]:
    """Return the lines in the pages' shell blocks that run a program."""
    pages = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)]
    lines = (line.strip() for block in blocks for line in block.splitlines())
    return sorted({line for line in lines if line.startswith(f"{program} ")})


def paste(folder: Path, lines: str) -> subprocess.CompletedProcess[str]:
    """Paste lines into a shell, in a folder with the environment in .venv."""
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to(sys.prefix)
    return subprocess.run(
        ["/bin/sh"],
        input=f"set -eu\n{lines}",
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class TestReadme:
    def test_the_six_calls_work_as_pasted(self, demo_folder: Path) -> None:
        """In a shell, in a folder with the environment in .venv, against the demo."""
        script = re.search(r"<!-- six calls -->\n```sh\n(.*?)```", README, re.DOTALL)
        assert script is not None
        with serving(demo_folder, "--demo") as server:
            pasted = script[1].replace("127.0.0.1:50051", server.address)
            again = paste(demo_folder, pasted), paste(demo_folder, pasted)
        ended, second = again
        assert (ended.returncode, ended.stderr) == (second.returncode, second.stderr) == (0, "")
        assert "BOOKING_STATUS_CANCELLED" in second.stdout
        assert "SEAT_STATUS_AVAILABLE" in ended.stdout
        assert "BOOKING_STATUS_CONFIRMED" in ended.stdout
        assert "TICKET_STATUS_VALID" in ended.stdout
        assert "BOOKING_STATUS_CANCELLED" in ended.stdout
        assert '"percent": 100' in ended.stdout

    @pytest.mark.parametrize("case", ["plaintext", "TLS", "TLS for another name", "without reflection"])
    def test_the_printed_calls_work_as_pasted(self, demo_folder: Path, case: str) -> None:
        """The demo prints them at its start, as they fit the settings."""
        names = ["cinema.example"] if "another" in case else []
        files = write(demo_folder, *Authority().issue(*names)) if "TLS" in case else {}
        settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
        if case == "without reflection":
            settings["CINEMA_REFLECTION"] = "no"
            for name in ("buf.yaml", "protos", "third_party"):
                (demo_folder / name).symlink_to(PROJECT / name)
        with serving(demo_folder, "--demo", **settings) as server:
            server.wait_for(f"The server is ready at {server.address}. ")
            printed = "\n".join(server.lines)
            with_buf = printed.split("environment...\n")[1].split("...or with")[0]
            buying, _, selling = printed.split(":\n\nAUTHORIZATION")[1].partition("\nAs staff, ")
            calls = f"AUTHORIZATION{buying}\n" + selling.partition(":\n")[2].partition("\nThe server")[0]
            ended = paste(demo_folder, with_buf + calls)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert re.findall("BOOKING_STATUS_([A-Z]+)", ended.stdout) == [
            *("RESERVED", "CONFIRMED", "CANCELLED"),
            *("CONFIRMED", "CANCELLED"),
        ]
        assert '"key": "adult"' in ended.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_offline_check_works_as_pasted(demo_folder: Path) -> None:
    """Of docs/tickets.md, with a ticket that the README's calls buy."""
    page = (PROJECT / "docs/tickets.md").read_text()
    scripts = [
        re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
        for name, text in (("six calls", README), ("offline check", page))
    ]
    assert all(scripts)
    (demo_folder / "examples").symlink_to(PROJECT / "examples")
    with serving(demo_folder, "--demo") as server:
        buying, checking = (each[1].replace("127.0.0.1:50051", server.address) for each in scripts if each)
        bought = paste(demo_folder, f'{buying}\necho "$SHOWTIME"').stdout
        code = re.findall('"code": "(.*)"', bought)[0]
        (demo_folder / "codes.txt").write_text(f"{code}\n{code[::-1]}\n")
        ended = paste(demo_folder, f"SHOWTIME={bought.split()[-1]}\n{checking}")
    admitted, forged = ended.stdout.splitlines()
    assert (admitted[:9], forged) == ("ADMIT B1 ", "FORGED")


def test_the_table_of_methods() -> None:
    """Each method is in the column that its access rule says."""
    columns: dict[str, set[str]] = {"anyone": set(), "signed in": set(), "staff": set()}
    for service, *cells in re.findall(r"^\| `(\w+Service)` \|(.*)\|(.*)\|(.*)\|$", README, re.MULTILINE):
        for names, cell in zip(columns.values(), cells, strict=True):
            names.update(
                f"/cinema.v1.{service}/{name}"
                for name in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b|Login|Logout|Register", cell)
            )
    callers = {Access.PUBLIC: "anyone", Access.SIGNED_IN: "signed in", Access.CUSTOMER: "signed in"}
    allowed: dict[str, set[str]] = {"anyone": set(), "signed in": set(), "staff": set()}
    for name, access in ACCESS.items():
        if name.startswith("/cinema.v1."):
            allowed[callers.get(access, "staff")].add(name)
    assert columns == allowed


class TestCommands:
    @pytest.mark.parametrize("line", commands("cinema"))
    def test_of_cinema(self, line: str) -> None:
        """They exist, and take the arguments that the pages give them."""
        command_line = re.split(r" [>|] ", line.replace("$DAY", "2026-05-01"))[0]
        name, *arguments = shlex.split(command_line, comments=True)[1:]
        program = click.Context(main, **main.context_settings)
        command = main.get_command(program, name)
        assert command is not None
        command.make_context(name, arguments, parent=program)  # commands keep their help option: it must know -h

    def test_of_make(self) -> None:
        """Each target exists."""
        makefile = (PROJECT / "Makefile").read_text()
        named = [re.findall(r"(?<!\S)[a-z][a-z-]*(?!\S|=)", line.partition("#")[0])[1:] for line in commands("make")]
        targets = {target for each in named for target in each}
        assert {"run", "test"} <= targets
        assert {each for each in targets if not re.search(rf"^{each}\b.*:", makefile, re.MULTILINE)} == set()
