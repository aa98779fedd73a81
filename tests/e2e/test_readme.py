"""The commands in the README and of the demo work as pasted."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import Authority, write
from tests.e2e.conftest import SECONDS, serving

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


def paste(folder: Path, lines: str) -> subprocess.CompletedProcess[str]:
    """Paste lines into a shell, in a folder with the environment in .venv."""
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
            ended = paste(demo_folder, pasted)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "SEAT_STATUS_AVAILABLE" in ended.stdout
        assert "BOOKING_STATUS_CONFIRMED" in ended.stdout
        assert "TICKET_STATUS_VALID" in ended.stdout
        assert "BOOKING_STATUS_CANCELLED" in ended.stdout
        assert '"percent": 100' in ended.stdout

    @pytest.mark.parametrize("tls", [False, True])
    def test_the_printed_calls_work_as_pasted(self, demo_folder: Path, tls: bool) -> None:
        """The demo prints them at its start, with TLS and without."""
        files = write(demo_folder, *Authority().issue()) if tls else {}
        settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
        with serving(demo_folder, "--demo", **settings) as server:
            server.wait_for("BoxOfficeService/GetSalesReport")
            printed = "\n".join(server.lines)
            with_buf = printed.split("environment...\n")[1].split("...or with")[0]
            buying, _, selling = printed.split(":\n\nAUTHORIZATION")[1].partition("\nAs staff, ")
            calls = f"AUTHORIZATION{buying}\n" + selling.partition(":\n")[2]
            ended = paste(demo_folder, with_buf + calls)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert re.findall("BOOKING_STATUS_([A-Z]+)", ended.stdout) == [
            *("RESERVED", "CONFIRMED", "CANCELLED"),
            *("CONFIRMED", "CANCELLED"),
        ]
        assert '"key": "adult"' in ended.stdout
