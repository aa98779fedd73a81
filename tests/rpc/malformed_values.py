"""Values for the fields of requests: well-formed ones, and malformed ones."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cinema.v1.booking_service_pb2 import BestSeats, SeatChoice
from cinema.v1.catalog_pb2 import SeatRow
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from tests.builders import NOW
from tests.rpc.conftest import moment

UUID = "0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d"
LABELS = [f"{first}{second}" for first in "ABCD" for second in "ABCDEFGHIJKLMNOPQRST"]
LATER = moment(NOW + timedelta(days=1))
SECONDS = LATER.seconds
EUR = Money(currency_code="EUR", minor_units=1_250)

LINES = ("", " \u2003", "x" * 201, "🎬" * 201, "a\0b", "a\nb", "tail\n", "\x1b[31m", "\x7f", "\x85")
PARAGRAPHS = ("\0", "a\nb", "tail\n", "\x7f", "\x85")
IDENTIFIERS = ("", "x" * 65, "🎬" * 65)
FILTERS = ("x" * 65, "🎬" * 65)
REQUEST_IDS = ("x", "\0", " ", UUID[:-1], f"{UUID}0", f"{UUID}\n", f"{{{UUID}}}", UUID.replace("-", ""), "x" * 36)
PAGE_SIZES = (-1, -(2**31))
PAGE_TOKENS = ("x", "\0", " ", "🎬", ".", "...", "AAAA.AAAA", "x" * 1_025)
NO_LABELS = ("", "A", "1", "a2", "A0", "A01", "A1000", "AAA1", "A1 ", "A2\n", "A\0", "Ä1", "A٣", "A-1")
DATES = ("", "x", "2026-02-30", "2026-13-01", "20260501", "2026-5-1", "2026-05-01\n", "2026-05-0٣", "9999-12-31")
TIMES = (
    *(Timestamp(seconds=SECONDS, nanos=nanos) for nanos in (-1, -1_000, 10**9, 2**31 - 1, -(2**31))),
    *(Timestamp(seconds=seconds) for seconds in (253_402_300_800, -62_135_596_801, 2**63 - 1, -(2**63))),
)
SPANS = (
    None,
    Duration(),
    *(Duration(seconds=60, nanos=nanos) for nanos in (1, 999, -1, -1_000, 10**9, 2**31 - 1, -(2**31))),
    *(Duration(seconds=seconds) for seconds in (59, 43_201, -60, 315_576_000_001, 2**63 - 1, -(2**63))),
    Duration(seconds=59, nanos=999_999_000),
    Duration(seconds=43_200, nanos=1_000),
    Duration(nanos=60_000_000),
)


@dataclass(frozen=True)
class Instead:
    """Several fields in place of one."""

    fields: dict[str, Any]


def price_list(**fields: Any) -> list[PriceLine]:
    """Return a price list with other fields in its second line."""
    first: dict[str, Any] = {"category": "standard", "ticket_type": "adult", "price": money()}
    return [PriceLine(**first), PriceLine(**(first | {"ticket_type": "child"} | fields))]


def rows(*layout: tuple[str, Any]) -> list[SeatRow]:
    return [SeatRow(label=label, sections=sections) for label, sections in layout]


def money(code: str = "EUR", minor_units: int = 1) -> Money:
    return Money(currency_code=code, minor_units=minor_units)


def prices(**fields: Any) -> Instead:
    """Return a price list in place of a price, with other fields in its second line."""
    return Instead({"price": None, "prices": price_list(**fields)})


def price_lists(write: Callable[[list[PriceLine]], Any]) -> dict[str, tuple[Any, ...]]:
    """Return malformed price lists by path, each as `write` makes it of its lines."""
    changed: dict[str, tuple[dict[str, Any], ...]] = {
        "prices[1]": ({"ticket_type": "adult"},),
        "prices[1].category": tuple({"category": each} for each in NO_CATEGORIES),
        "prices[1].ticket_type": tuple({"ticket_type": each} for each in NO_CATEGORIES),
        "prices[1].price": ({"price": None},),
        "prices[1].price.currency_code": tuple({"price": money(each)} for each in ("", "eur", "USD", "ZZZ", "EUR\n")),
        "prices[1].price.minor_units": tuple({"price": money(minor_units=each)} for each in (-1, 10**12 + 1)),
        "prices[1].proof": tuple({"proof": each} for each in ("x" * 101, "\u200b", *PARAGRAPHS)),
    }
    lists = {path: tuple(write(price_list(**each)) for each in fields) for path, fields in changed.items()}
    return {"prices": (write([PriceLine()] * 201),)} | lists


def seat_lists(most: int) -> dict[str, tuple[Any, ...]]:
    """Return malformed lists of labels by path; `most` is the maximum number of seats."""
    return {
        "seats": (["A1", "A2", "A1"], [f"A{number}" for number in range(1, most + 2)], ["A1"] * 200_000),
        "seats[1]": tuple(["A1", label] for label in NO_LABELS),
    }


def choice_lists(most: int) -> dict[str, tuple[Any, ...]]:
    """Return malformed lists of choices by path, in place of seats; `most` is the maximum number of seats."""
    good = SeatChoice(seat="A1", ticket_type="adult")
    lists: dict[str, tuple[list[SeatChoice], ...]] = {
        "choices": ([good] * (most + 1), [SeatChoice()] * 200_000),
        "choices[0].seat": tuple([SeatChoice(seat=label, ticket_type="adult")] for label in NO_LABELS),
        "choices[0].ticket_type": tuple([SeatChoice(seat="A1", ticket_type=name)] for name in NO_CATEGORIES),
        "choices[1].seat": ([good, good],),
    }
    return {path: tuple(Instead({"seats": [], "choices": each}) for each in values) for path, values in lists.items()}


def best_seats() -> dict[str, tuple[Any, ...]]:
    """Return malformed parties by path, in place of seats."""
    parties: dict[str, tuple[dict[str, Any], ...]] = {
        "best.ticket_types": (
            {"ticket_types": []},
            {"ticket_types": ["adult"] * 11},
            {"ticket_types": [""] * 200_000},
        ),
        "best.ticket_types[1]": tuple({"ticket_types": ["adult", name]} for name in NO_CATEGORIES),
        **party_fields("best."),
        "best.wheelchair_spaces": tuple({"wheelchair_spaces": each} for each in (2, 11, -1, 2**31 - 1)),
    }
    return {
        path: tuple(
            Instead({"seats": [], "best": BestSeats(**({"ticket_types": ["adult"]} | each))}) for each in values
        )
        for path, values in parties.items()
    }


def party_fields(prefix: str = "") -> dict[str, tuple[dict[str, Any], ...]]:
    """Return malformed categories of a party by path."""
    return {
        f"{prefix}categories": (
            {"categories": ["vip", "vip"]},
            {"categories": [f"c{number}" for number in range(22)]},
            {"categories": ["vip"] * 200_000},
        ),
        f"{prefix}categories[1]": tuple({"categories": ["vip", name]} for name in NO_CATEGORIES),
    }


MASKS = (None, FieldMask(), *(FieldMask(paths=[path]) for path in ("", "*", "request_id", "x" * 1_000)))
NO_CATEGORIES = ("", "Vip", "1st", "a b", "vip\n", "vip\0", "ä", "x" * 33)
PAGES: dict[str, tuple[Any, ...]] = {"page_size": PAGE_SIZES, "page_token": PAGE_TOKENS}
