"""The picture of a terminal in the README."""

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_it_is_what_the_program_draws() -> None:
    """`python docs/terminal.py >docs/terminal.svg` draws it again."""
    picture = runpy.run_path(str(DOCS / "terminal.py"))["main"]()
    assert picture == (DOCS / "terminal.svg").read_text()
    assert "https:" not in picture  # no font of another host's
