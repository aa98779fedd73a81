"""The plot of an on-sale, which `make on-sale-plot` draws with what `make bench` installs."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.examples
pytest.importorskip("matplotlib", reason="`make bench` installs Matplotlib")
MAX_BYTES = 100_000


def draw(path: Path, *, slower: float) -> str:
    """Draw a sale of 2,000 seats beside one that is stopped after 7 s."""
    from benchmarks.picture import draw_seats_sold  # noqa: PLC0415 (needs Matplotlib)

    quick = [number / 500 for number in range(1000)]
    slow = [number * slower for number in range(int(7 / slower))]
    draw_seats_sold(path, {"quick": quick, "slow": slow})
    return path.read_text()


def test_the_same_run_draws_the_same_small_file(tmp_path: Path) -> None:
    """So a commit of it shows what has changed."""
    first, again = draw(tmp_path / "first.svg", slower=0.01), draw(tmp_path / "again.svg", slower=0.01)
    other = draw(tmp_path / "other.svg", slower=0.02)
    assert first == again
    assert first != other
    assert len(first.encode()) < MAX_BYTES


def test_it_reads_on_any_background(tmp_path: Path) -> None:
    """It has no background of its own, and neither black nor white in it; its text is text."""
    picture = draw(tmp_path / "picture.svg", slower=0.01)
    assert {"quick", "slow", "seats sold", "2,000"} <= set(re.findall(r">([^<>]+)</text>", picture))
    assert not re.search(r"#0{3,6}\b|#f{3,6}\b|black|white", picture)
