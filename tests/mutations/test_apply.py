"""A known bug that no longer fits the code is an error, since it would not be tested any more."""

from pathlib import Path

import pytest

from tests.mutations.__main__ import NotApplicable, apply
from tests.mutations.catalogue import MUTATIONS
from tests.mutations.mutation import Mutation, mutation

ROOT = Path(__file__).parents[2]


def test_a_bug_is_put_into_the_copy(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\nb = 2\n")
    apply(mutation("b is wrong", "code.py", "b = 2", "b = 3"), tmp_path)
    assert (tmp_path / "code.py").read_text() == "a = 1\nb = 3\n"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [("c = 3", "c = 4", "0 times"), (" = ", " == ", "2 times"), ("a = 1", "a = (", "not valid Python")],
)
def test_one_that_no_longer_fits_is_named(old: str, new: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\nb = 2\n")
    with pytest.raises(NotApplicable, match=f"stale.*{problem}"):
        apply(mutation("stale", "code.py", old, new), tmp_path)


def test_one_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match=r"stale.*0 times in gone\.py"):
        apply(mutation("stale", "gone.py", "a", "b"), tmp_path)


def test_each_has_a_name_and_tests() -> None:
    assert len({each.name for each in MUTATIONS}) == len(MUTATIONS)
    assert all(each.tests and each.edits for each in MUTATIONS)


@pytest.mark.parametrize("known", MUTATIONS, ids=lambda known: known.name)
def test_each_fits_the_code_and_its_tests_are_there(known: Mutation, tmp_path: Path) -> None:
    for path in {edit.path for edit in known.edits}:
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / path).read_text())
    apply(known, tmp_path)
    for path, *names in (test.split("::") for test in known.tests):
        text = (ROOT / path).read_text()
        assert [
            name for name in names if f" {name.partition('[')[0]}(" not in text and f"class {name}:" not in text
        ] == []
