"""`cinema` as a program: TLS, watching, completion, and what it loads."""

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cinema_client import Client
from cinema_client.cinema.v1.catalog_pb2 import SeatRow
from cinema_client.cinema.v1.showtime_pb2 import SEAT_BLOCK_KIND_OUT_OF_ORDER
from cinema_client.cinema.v1.showtime_service_pb2 import SetSeatBlocksRequest

from cinema_grpc.cli.client.exit_codes import OF_STATUS, ExitCode
from cinema_grpc.cli.group import CLIENT_COMMANDS
from tests.certificates import Authority, write
from tests.e2e.client.shop import Person, Shop
from tests.e2e.client.watching import watching
from tests.e2e.conftest import CINEMA, SECONDS, environment, run, run_here, serving

ROWS = [SeatRow(label="A", sections=(4, 6))]


def test_tls(tmp_path: Path) -> None:
    """With --ca, CINEMA_CA or the system's certificates; never with others, and never without TLS by mistake."""
    authority = Authority()
    files = write(tmp_path, *authority.issue())
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / "other.pem").write_bytes(Authority().certificate)
    (tmp_path / "0a1b2c3d.0").write_bytes(authority.certificate)
    folder = {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": str(tmp_path)}
    with serving(tmp_path, **{f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}) as server:
        for options, variables, code in (
            (("--ca", "ca.pem"), {}, ExitCode.OK),
            ((), {"CINEMA_CA": "ca.pem"}, ExitCode.OK),
            (("--server", f"https://{server.address}"), {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}, ExitCode.OK),
            (("--server", f"https://{server.address}"), folder, ExitCode.OK),
            (("--ca", "other.pem"), {}, ExitCode.UNAVAILABLE),
            ((), {}, ExitCode.UNAVAILABLE),
        ):
            ended = run_here(tmp_path, "showtimes", *options, **{"CINEMA_SERVER": server.address, **variables})
            assert ended.returncode == code, ended.stderr
            assert ended.stdout == ("No showtimes.\n" if code == ExitCode.OK else "")


def test_letters_that_the_terminal_does_not_have(shop: Shop, anyone: Person, clerk: Person) -> None:
    """They are question marks, so that the rest can be read; JSON needs none of them."""
    options = ("--email", "zoe@example.com", "--full-name", "Zoë 映画")
    assert anyone.run("register", "zoe", *options, CINEMA_PASSWORD="a long private one").returncode == 0
    anyone.text("book", shop.new_showtime(ROWS).showtime_id, "A1")
    settings = {"CINEMA_SERVER": shop.address, "XDG_CONFIG_HOME": str(clerk.folder), "PYTHONIOENCODING": "ascii"}
    ended = run(clerk.folder, "find", "--username", "zoe", **settings)
    assert (ended.returncode, "Zo? ??" in ended.stdout, ended.stderr) == (0, True, "")
    ended = run(clerk.folder, "find", "--username", "zoe", "-o", "json", **settings)
    assert json.loads(ended.stdout)["bookings"][0]["customer"]["fullName"] == "Zoë 映画"


def test_client_certificates(tmp_path: Path) -> None:
    """A server that asks for one serves --cert and --key, or CINEMA_CERT and CINEMA_KEY, and refuses others."""
    authority = Authority()
    files = write(tmp_path, *authority.issue(), client_ca=authority.certificate)
    for name, (key, chain) in {"desk": authority.issue("desk.example"), "other": Authority().issue()}.items():
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.pem").write_bytes(chain)
    own = {"CINEMA_CERT": "desk.pem", "CINEMA_KEY": "desk.key"}
    settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
    with serving(tmp_path, **settings, **own) as server:  # the client's variables do not disturb a server
        environment = {"CINEMA_SERVER": server.address, "CINEMA_CA": str(files["tls_client_ca"])}
        for command, served in ((("showtimes",), ExitCode.OK), (("report", "none"), ExitCode.NOT_FOUND)):
            for options, variables, code in (
                (("--cert", "desk.pem", "--key", "desk.key"), {}, served),
                ((), own, served),
                (("--cert", "other.pem", "--key", "other.key"), own, ExitCode.UNAVAILABLE),
                ((), {}, ExitCode.UNAVAILABLE),
                (("--cert", "desk.pem", "--key", "other.key"), {}, ExitCode.USAGE),
            ):
                ended = run_here(tmp_path, *command, *options, **environment, **variables)
                assert ended.returncode == code, ended.stderr


def block(shop: Shop, showtime_id: str, *seats: str) -> None:
    """Block seats of a showtime."""
    with Client(shop.address) as client:
        client.login("clerk", shop.passwords["clerk"])
        request = SetSeatBlocksRequest(showtime_id=showtime_id)
        request.block.seats.extend(seats)
        request.block.kind, request.block.reason = SEAT_BLOCK_KIND_OUT_OF_ORDER, "broken"
        client.showtimes.SetSeatBlocks(request)


def test_watching_in_a_pipe(shop: Shop) -> None:
    """After the drawing each change is a line; Ctrl-C ends it."""
    showtime = shop.new_showtime(ROWS).showtime_id
    with watching(shop, "watch", showtime) as process:
        assert process.stdout is not None
        assert any("prices" in line for line in process.stdout)
        assert "adult 12.50" in process.stdout.readline()
        block(shop, showtime, "A2", "A3")
        assert re.fullmatch(r"\d\d:\d\d:\d\d A2 A3 blocked; 8 free\n", process.stdout.readline())


def test_watching_in_json(shop: Shop) -> None:
    """Each frame is a line."""
    showtime = shop.new_showtime(ROWS).showtime_id
    with watching(shop, "watch", showtime, "-o", "json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["snapshot"] is True
        block(shop, showtime, "A2")
        frame = json.loads(process.stdout.readline())
        assert (frame["seats"], frame["availableSeats"]) == ([{"seat": "A2", "status": "SEAT_STATUS_BLOCKED"}], 9)


@pytest.mark.parametrize("no_color", ["", "1"])
def test_watching_in_a_terminal(shop: Shop, no_color: str) -> None:
    """The house is redrawn in place, the changed seats in reverse; in colours, unless NO_COLOR is set."""
    showtime = shop.new_showtime(ROWS).showtime_id
    ours, theirs = pty.openpty()
    seen = ""
    terminal = {"TERM": "xterm", "COLUMNS": "80", "LINES": "40", "NO_COLOR": no_color}
    with watching(shop, "watch", showtime, output=theirs, **terminal):
        os.close(theirs)
        while "prices" not in seen:
            seen += os.read(ours, 65_536).decode()
        block(shop, showtime, "A2", "A3")
        while "A2 A3 blocked" not in seen or not seen.rstrip().endswith("EUR"):
            seen += os.read(ours, 65_536).decode()
    os.close(ours)
    assert "\x1b[7" in seen  # in reverse
    assert "\x1b[2K" in seen  # in place
    assert ("\x1b[32m" in seen) == (not no_color)


def test_watching_in_a_terminal_that_can_not_redraw(shop: Shop) -> None:
    """As that of an editor: a line for each change, as in a pipe."""
    showtime = shop.new_showtime(ROWS).showtime_id
    ours, theirs = pty.openpty()
    seen = ""
    with watching(shop, "watch", showtime, output=theirs, TERM="dumb", COLUMNS="80"):
        os.close(theirs)
        while "prices" not in seen:
            seen += os.read(ours, 65_536).decode()
        block(shop, showtime, "A2", "A3")
        while "A2 A3 blocked" not in seen:
            seen += os.read(ours, 65_536).decode()
    os.close(ours)
    assert "\x1b" not in seen


def test_standard_input_that_is_closed(shop: Shop, clerk: Person) -> None:
    """It has nothing to read, as /dev/null."""
    redeem = ("redeem", shop.new_showtime(ROWS).showtime_id, "--gate", "north")
    settings = {"CINEMA_SERVER": shop.address, "XDG_CONFIG_HOME": str(clerk.folder)}
    closing = ("/bin/sh", "-c", 'exec "$@" <&-', "sh", str(CINEMA))
    ended = run(clerk.folder, *redeem, program=closing, **settings)
    with_nothing = run(clerk.folder, *redeem, **settings)
    assert (ended.returncode, ended.stderr) == (with_nothing.returncode, with_nothing.stderr)
    assert ended.returncode == ExitCode.USAGE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(tmp_path: Path, shell: str) -> None:
    """The script asks `cinema` for what fits."""
    script = run(tmp_path, "completion", shell)
    assert (script.returncode, f"_CINEMA_COMPLETE={shell}_complete" in script.stdout) == (0, True), script.stderr
    found = run(tmp_path, _CINEMA_COMPLETE="bash_complete", COMP_WORDS="cinema sho", COMP_CWORD="1")
    assert found.stdout == "plain,showtimes\n"


def test_version_and_help(tmp_path: Path) -> None:
    """In text and JSON; -h is --help."""
    version = json.loads(run_here(tmp_path, "version", "-o", "json").stdout)["version"]
    assert run_here(tmp_path, "version").stdout == f"cinema {version}\n"
    listed = run_here(tmp_path, "-h").stdout
    assert listed == run_here(tmp_path, "--help").stdout
    sections = re.findall(r"^Commands for (\w+):", listed, re.MULTILINE)
    assert sections == ["customers", "staff", "operators"]
    assert re.search("^  redeem +Let the holder of a ticket in, once.$", listed, re.MULTILINE)
    assert "--request-id UUID" in run_here(tmp_path, "book", "-h").stdout


def test_commands_load_no_more_than_they_need() -> None:
    """`cinema version` and help do without the client and the server; client commands without the server."""
    script = """\
import sys
from cinema_grpc.cli import main
for words in (["version"], ["--help"], ["showtimes", "--help"]):
    main(words, standalone_mode=False)
heavy = {"grpc", "google", "pydantic", "sqlalchemy", "rich", "asyncio", "ssl", "cinema_client"} & set(sys.modules)
assert not heavy, heavy
try:
    main(["seats", "s", "--server", "127.0.0.1:9"], standalone_mode=False)
except SystemExit as end:
    assert end.code == 8, end.code
import cinema_grpc.cli.client.board
server = {"pydantic", "sqlalchemy", "structlog", "cinema", "cinema_grpc.application", "cinema_grpc.config"}
assert not server & set(sys.modules), server & set(sys.modules)
"""
    ended = subprocess.run(  # noqa: S603 (our own program)
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, env=environment(), check=False
    )
    assert ended.returncode == 0, ended.stderr


class TestPage:
    """docs/cli.md is right."""

    PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()

    def test_its_commands_work_as_pasted(self, shop: Shop, tmp_path: Path) -> None:
        shop.new_showtime(
            [SeatRow(label="A", sections=(5,)), SeatRow(label="B", sections=(5,))], timedelta(days=2, hours=1)
        )
        written = self.paste("commands", shop, tmp_path, DAY=f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}")
        assert re.findall("^Booking .* is (.*)$", written, re.MULTILINE) == [
            *("reserved", "confirmed", "confirmed", "cancelled")
        ]

    def test_its_commands_for_staff_work_as_pasted(self, shop: Shop, clerk: Person) -> None:
        showtime = shop.new_showtime([SeatRow(label="A", sections=(5,))], timedelta(minutes=30))
        written = self.paste("staff commands", shop, clerk.folder, SHOWTIME=showtime.showtime_id)
        assert "Refund of 6.25 EUR for A1: pending" in written
        assert re.search("^cash, settled .*: from the till *$", written, re.MULTILINE)
        assert written.endswith("ADMIT seat A2, adult\nReversed. The ticket of seat A2 is valid.\n")

    def paste(self, name: str, shop: Shop, folder: Path, **variables: str) -> str:
        """Run commands of the page as they stand there, and return what they write."""
        script = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", self.PAGE, re.DOTALL)
        assert script is not None
        settings = {
            "CINEMA_SERVER": shop.address,
            "XDG_CONFIG_HOME": str(folder),
            "PATH": f"{CINEMA.parent}:{os.environ['PATH']}",
        }
        ended = subprocess.run(
            ["/bin/sh", "-eux"],
            input=script[1],
            env=environment(**settings, **variables),
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def test_it_has_all_exit_codes_and_commands(self) -> None:
        codes = dict(re.findall(r"^\| (\d) \| ([A-Z_, a-z]+) \|", self.PAGE, re.MULTILINE))
        assert set(codes) == {str(int(code)) for code in ExitCode}
        for status, code in OF_STATUS.items():
            assert status in codes[str(int(code))].split(", ")
        for command in CLIENT_COMMANDS:
            assert f"`{command}`" in self.PAGE
