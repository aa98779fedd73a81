"""The checker is checked: histories that are broken are found out, and sound ones pass."""

import pytest

from tests.chance import count, generator, seed
from tests.proofs.linearizability import (
    FREE,
    Call,
    Seat,
    claim,
    lapse,
    possible_lapse,
    release,
    revival,
    sale,
    sight,
    unexplained,
)


def free(start: int, end: int) -> Call:
    return sight("free", lambda seat: seat == FREE, start, end)


def held(start: int, end: int) -> Call:
    return sight("held", lambda seat: seat != FREE and not seat.sold, start, end)


def sold(start: int, end: int) -> Call:
    return sight("sold", lambda seat: seat.sold, start, end)


SOUND = {
    "nothing": [],
    "one after the other": [claim("a", 1, 2), release("a", 3, 4), claim("b", 5, 6), sale("b", 7, 8)],
    "side by side, in the order that fits": [claim("b", 1, 9), claim("a", 1, 9), release("a", 2, 8)],
    "seen before and after a claim that runs": [claim("a", 1, 9), free(2, 3), held(4, 5)],
    "a lost answer, carried out": [claim("a", 1, None), held(5, 6), held(7, 8)],
    "a lost answer, not carried out": [claim("a", 1, None), free(5, 6), claim("b", 7, 8)],
    "a lost answer, carried out late": [claim("a", 1, None), free(5, 6), held(7, 8)],
    "a hold that ends": [claim("a", 1, 2), lapse("a", 10), held(9, 10), claim("b", 10, 11)],
    "an end that comes after a sale": [claim("a", 1, 2), sale("a", 3, 4), lapse("a", 10), sold(11, 12)],
    "a hold that may last longer": [claim("a", 1, 2), possible_lapse("a", 10), held(11, 12), free(13, 14)],
    "a payment that begins as the hold ends": [
        claim("a", 1, 2),
        possible_lapse("a", 10),
        revival("a", 10),
        sale("a", 9, 15),
        free(10, 11),
        held(12, 13),
    ],
    "a lost cancellation": [claim("a", 1, 2), release("a", 3, None), held(4, 5), claim("b", 6, 7)],
}
BROKEN = {
    "sold twice": ([claim("a", 1, 2), claim("b", 3, 4)], "claim by b"),
    "sold twice at once": ([claim("a", 1, 9), claim("b", 1, 9)], "claim by b"),
    "a booking that is forgotten": ([claim("a", 1, 2), free(3, 4)], "saw it free"),
    "a stale map after a release": ([claim("a", 1, 2), release("a", 3, 4), held(5, 6)], "saw it held"),
    "a map that runs back": ([claim("a", 1, 9), held(2, 3), free(4, 5)], "saw it free"),
    "paid for and not had": ([claim("a", 1, 2), release("a", 3, 4), sale("a", 5, 6)], "sale to a"),
    "cancelled twice": ([claim("a", 1, 2), release("a", 3, 4), release("a", 5, 6)], "release by a"),
    "sold without a hold": ([sale("a", 1, 2)], "sale to a"),
    "claimed before the hold was over": ([claim("a", 1, 2), lapse("a", 10), claim("b", 8, 9)], "claim by b"),
    "held after its end": ([claim("a", 1, 2), lapse("a", 10), held(11, 12)], "saw it held"),
    "a sale that is undone": ([claim("a", 1, 2), sale("a", 3, 4), held(5, 6)], "saw it held"),
    "a hold that comes back and takes the seat from another": (
        [claim("a", 1, 2), possible_lapse("a", 10), revival("a", 10), claim("b", 11, 12), sale("a", 13, 14)],
        "sale to a",
    ),
    "a lost answer carried out twice": (
        [claim("a", 1, None), held(2, 3), release("a", 4, 5), held(6, 7)],
        "saw it held",
    ),
    "a lost answer that came and went": ([claim("a", 1, None), held(2, 3), free(4, 5)], "saw it free"),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_history(name: str) -> None:
    assert unexplained(SOUND[name]) is None


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_history(name: str) -> None:
    calls, culprit = BROKEN[name]
    found = unexplained(calls)
    assert found is not None
    assert found.name == culprit


def random_history(*seeds: object) -> list[Call]:
    """Let calls take effect one after the other, and stretch each about that moment, so that many overlap."""
    chance = generator(*seeds)
    seat, calls, moment, names = FREE, [], 0, 0
    for _ in range(40):
        moment += 10
        start, end = moment - chance.randrange(60), moment + chance.randrange(60)
        kind = chance.choice(["claim", "sale", "release", "look", "lost"])
        if kind == "claim" and seat == FREE:
            names += 1
            seat = Seat(f"b{names}", sold=False)
            calls.append(claim(seat.booking_id, start, end))
        elif kind == "sale" and seat != FREE and not seat.sold:
            seat = Seat(seat.booking_id, sold=True)
            calls.append(sale(seat.booking_id, start, end))
        elif kind == "release" and seat != FREE:
            calls.append(release(seat.booking_id, start, end))
            seat = FREE
        elif kind == "lost":
            names += 1
            calls.append(claim(f"b{names}", start, None))  # never carried out
        else:
            calls.append(sight(f"{seat}", seat.__eq__, start, end))
    return calls


def test_random_sound_histories() -> None:
    """What did happen in some order is found to be possible."""
    chosen = seed()
    for number in range(count(100)):
        assert unexplained(random_history(chosen, number)) is None, number


def test_random_histories_with_one_answer_changed() -> None:
    """A sight of a booking that never was is found out, wherever it stands."""
    chosen = seed()
    for number in range(count(100)):
        calls = random_history(chosen, number)
        place = generator(chosen, number, "place").randrange(len(calls))
        never = sight("held by an unknown booking", lambda found: found.booking_id == "b0", calls[place].start, 10_000)
        assert unexplained([*calls[:place], never, *calls[place:]]) is never, number
