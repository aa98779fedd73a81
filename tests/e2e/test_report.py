"""`cinema report`, as the manager of a cinema calls it."""

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cinema.v1.box_office_service_pb2 import SalesLine

from cinema_grpc.adapters.database import schema
from cinema_grpc.domain.business_days import DAY, latest_business_day
from tests.e2e.conftest import run_here
from tests.store.desk_rows import START, booking, furnished, refund, seats, write

BERLIN = "Europe/Berlin"
NOON = datetime(2026, 3, 28, 12, tzinfo=ZoneInfo(BERLIN))
TABLE = """\
Sales of 2026-03-28 to 2026-03-30, from 05:00 to 05:00 Europe/Berlin

day         currency  sold  cancelled  gross  refunded   kept  complimentary  conflicts
2026-03-28  EUR          2          0  17.55      0.00   0.00              0          0
2026-03-28  JPY          1          0    800         0      0              0          0
2026-03-29  EUR          1          1   0.00     18.00  -5.50              1          0

total       EUR          3          1  17.55     18.00  -5.50              1          0
total       JPY          1          0    800         0      0              0          0
"""
SHOWTIMES = """\
Sales of 2026-03-28 to 2026-03-30, from 05:00 to 05:00 Europe/Berlin

showtime                      currency  sold  cancelled  gross  refunded   kept  complimentary  conflicts  on offer
{start} One: A Film  EUR          2          1  17.55     18.00  -5.50              0          0        10
{start} One: A Film  EUR          1          0   0.00      0.00   0.00              1          0        10
{start} One: A Film  JPY          1          0    800         0      0              0          0        10

total                         EUR          3          1  17.55     18.00  -5.50              1          0        20
total                         JPY          1          0    800         0      0              0          0        10
"""
CSV = """\
key,currency_code,seats_sold,seats_cancelled,gross,refunded,kept,complimentary_seats,seats_on_offer,entry_conflicts
s1,EUR,2,1,1755,1800,-550,0,10,0
s2,EUR,1,0,0,0,0,1,10,0
s2,JPY,1,0,800,0,0,0,10,0
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a database of sales: in March 2026, and on the latest day that is over."""
    assert run_here(tmp_path, "migrate").returncode == 0
    asyncio.run(_sell(tmp_path))
    return tmp_path


async def _sell(folder: Path) -> None:
    yesterday = datetime.combine(latest_business_day(datetime.now(ZoneInfo(BERLIN)), BERLIN), NOON.timetz())
    sold: list[dict[str, Any]] = [
        booking(1, "CANCELLED", confirm_time=NOON, seats=seats(1_250, 505)),
        booking(2, confirm_time=NOON, seats=seats(800), currency_code="JPY", showtime_id="s2"),
        booking(3, confirm_time=NOON + DAY, seats=seats(0, first=3), tender="COMPLIMENTARY", showtime_id="s2"),
        booking(4, confirm_time=yesterday, seats=seats(99, category="vip", first=5)),
    ]
    async with furnished(f"sqlite+aiosqlite:///{folder}/cinema.db") as database:
        await write(database, schema.booking, sold)
        await write(database, schema.refund, [refund(1, 1, 1_800, "A1", time=NOON + DAY)])


def report(folder: Path, *options: str) -> str:
    """Run the command, and return what it prints."""
    ended = run_here(folder, "report", *options)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_table_of_days(folder: Path) -> None:
    """With amounts in the major unit, as many digits as the currency has."""
    assert report(folder, "c1", "--from", "2026-03-28", "--until", "2026-03-31") == TABLE
    assert report(folder, "c1", "--from", "2026-03-28") == report(
        folder, "c1", "--from", "2026-03-28", "--until", "2026-03-29"
    )


def test_titles(folder: Path) -> None:
    """People see what was shown when and where, in the cinema's time zone; programs see identifiers."""
    period = ("c1", "--from", "2026-03-28", "--until", "2026-03-31")
    start = f"{START.astimezone(ZoneInfo(BERLIN)):%Y-%m-%d %H:%M}"
    assert report(folder, *period, "--by", "showtime") == SHOWTIMES.format(start=start)
    assert [line.split()[:3] for line in report(folder, *period, "--by", "movie").splitlines()[3:6]] == [
        ["A", "Film", "EUR"]
    ] * 2 + [["A", "Film", "JPY"]]
    assert '"key": "s1"' in report(folder, *period, "--by", "showtime", "-o", "json")


def test_csv(folder: Path) -> None:
    """With amounts in minor units."""
    period = ("--from", "2026-03-28", "--until", "2026-03-31")
    assert report(folder, "c1", *period, "--by", "showtime", "--csv") == CSV
    head, _, *others = CSV.splitlines(keepends=True)
    assert report(folder, "c1", *period, "--by", "showtime", "--csv", "--showtime", "s2") == "".join([head, *others])
    assert report(folder, "c1", *period, "--by", "movie", "--csv", "--movie", "m2").count("m2,") == 2


def test_json(folder: Path) -> None:
    """That of a server's response, with amounts in minor units."""
    printed = json.loads(report(folder, "c1", "--from", "2026-03-28", "--until", "2026-03-31", "-o", "json"))
    assert [line["key"] for line in printed["lines"]] == ["2026-03-28", "2026-03-28", "2026-03-29"]
    assert printed["totals"][0] == {
        "key": "",
        "seatsSold": 3,
        "seatsCancelled": 1,
        "gross": {"currencyCode": "EUR", "minorUnits": "1755"},
        "refunded": {"currencyCode": "EUR", "minorUnits": "1800"},
        "keptMinorUnits": "-550",
        "complimentarySeats": 1,
        "seatsOnOffer": 0,
        "entryConflicts": 0,
    }
    assert set(printed["totals"][0]) == {field.json_name for field in SalesLine.DESCRIPTOR.fields}


def test_the_latest_day_by_default(folder: Path) -> None:
    """The day itself is left out while it lasts."""
    day = latest_business_day(datetime.now(ZoneInfo(BERLIN)), BERLIN)
    shown = report(folder, "c1", "--by", "category")
    if latest_business_day(datetime.now(ZoneInfo(BERLIN)), BERLIN) == day:  # else it was 05:00 meanwhile
        assert shown.startswith(f"Sales of {day}, ")
        assert "vip" in shown
        assert "0.99" in shown


def test_nothing_sold(folder: Path) -> None:
    assert report(folder, "c2", "--from", "2026-03-28").endswith("\nNothing was sold or cancelled.\n")


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("none",), "there is no cinema 'none'"),
        (("c1", "--from", "2026-02-30"), "from_date: must be a date"),
        (("c1", "--from", "2026-03-28", "--until", "2026-03-28"), "until_date: must be 1 to 400 days"),
        (("c1", "--from", "2026-03-28", "--until", "2028-03-28"), "until_date: must be 1 to 400 days"),
    ],
)
def test_refusals(folder: Path, options: tuple[str, ...], hint: str) -> None:
    """One line."""
    ended = run_here(folder, "report", *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert hint in line


def test_without_a_database(tmp_path: Path) -> None:
    """It says so in one line, and makes none."""
    ended = run_here(tmp_path, "report", "c1")
    assert (ended.returncode, ended.stderr) == (2, "cinema: CINEMA_DATABASE_URL: there is no file cinema.db\n")
    assert list(tmp_path.iterdir()) == []
