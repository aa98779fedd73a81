"""A version tells where it came from: only what came from a state that is at hand is read as a difference from it."""

import pytest

from cinema_grpc.application.box_office_ports import GENERATIONS, STAMP_LENGTH, Version, draw_stamp


def history(beginning: Version, length: int) -> list[Version]:
    """Give versions of which each follows the one before."""
    versions = [beginning]
    for _ in range(length):
        versions.append(versions[-1].next(draw_stamp()))
    return versions


@pytest.mark.parametrize("beginning", ["restored", "x_7-Qa0Z", "0123456789abcdef"])
def test_a_version_came_from_those_shortly_before_it(beginning: str) -> None:
    versions = history(Version(7, beginning), 3 * GENERATIONS)
    for later, version in enumerate(versions):
        for earlier, other in enumerate(versions):
            assert version.came_from(other) is (0 < later - earlier < GENERATIONS), (later, earlier)


def test_no_version_came_from_another_history() -> None:
    common = history(Version(0, draw_stamp()), GENERATIONS)
    for branch in range(len(common)):
        lost = history(common[branch], 2 * GENERATIONS)[1:]
        kept = history(common[branch], 2 * GENERATIONS)[1:]
        assert not any(version.came_from(other) for version in kept for other in lost)


def test_each_version_has_a_stamp_of_its_own_that_does_not_grow_for_ever() -> None:
    versions = history(Version(0, draw_stamp()), 100)
    assert len({version.stamp for version in versions}) == len(versions)
    assert [version.revision for version in versions] == list(range(101))
    assert max(len(version.stamp) for version in versions) == STAMP_LENGTH * GENERATIONS
