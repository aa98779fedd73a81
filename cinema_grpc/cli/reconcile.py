"""`cinema reconcile`: compares the ledger with what Stripe has booked."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cinema_grpc.adapters.database.ledger_reader import read_ledger
from cinema_grpc.adapters.database.migrate import RECONCILING
from cinema_grpc.application.payment_ports import ProviderUnavailable
from cinema_grpc.application.reconciliation import Difference, EntryKind, ProviderEntry, compare
from cinema_grpc.cli.amounts import major
from cinema_grpc.cli.maintenance import opened
from cinema_grpc.config import PREFIX, BadSettings, Settings
from cinema_grpc.domain.money import Money
from cinema_grpc.payment_provider import read_stripe_key

MARGIN = timedelta(days=1)
"""How much earlier Stripe's entries are read: the clocks differ, and a charge may end long after its attempt began."""
CLOCKS_DIFFER = timedelta(minutes=5)
EARLIEST = date(2000, 1, 1)
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared, and the differences."""

    since: datetime
    entries: list[ProviderEntry]
    differences: list[Difference]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, with amounts in minor units."""
        return {
            "since": self.since.date().isoformat(),
            "booked": [
                {"currency_code": code, "kind": kind, "count": count, "amount": amount}
                for code, kind, count, amount in self._sums()
            ],
            "differences": [
                {
                    "kind": each.kind.name,
                    "meaning": each.kind.value,
                    "provider_id": each.provider_id,
                    "booking_id": each.booking_id,
                    "attempt_id": each.attempt_id,
                    "refund_id": each.refund_id,
                    "at_provider": _money_to_json(each.at_provider),
                    "in_ledger": _money_to_json(each.in_ledger),
                }
                for each in self.differences
            ],
        }

    def describe(self) -> str:
        """Return it as text for people."""
        lines = [f"Booked by Stripe since {self.since.date().isoformat()}, UTC:"]
        for code, kind, count, amount in self._sums():
            lines.append(f"  {count:8} {kind:16} {_shown(Money(code, amount)):>20}")
        for each in self.differences:
            named = {"booking": each.booking_id, "attempt": each.attempt_id, "refund": each.refund_id}
            ids = [each.provider_id, *(f"{name} {value}" for name, value in named.items() if value)]
            amounts = f"{_shown(each.at_provider)} at Stripe, {_shown(each.in_ledger)} in the ledger"
            lines += ["", f"{each.kind.name}: {each.kind.value}", f"  {', '.join(filter(None, ids))}: {amounts}"]
        number = len(self.differences)
        lines += ["", "No differences." if number == 0 else "1 difference" if number == 1 else f"{number} differences"]
        return "\n".join(lines)

    def _sums(self) -> list[tuple[str, str, int, int]]:
        counts, amounts = Counter[tuple[str, EntryKind]](), Counter[tuple[str, EntryKind]]()
        for each in self.entries:
            if each.time >= self.since:
                key = each.amount.currency_code, each.kind
                counts[key] += 1
                amounts[key] += each.amount.minor_units
        ordered = sorted(counts, key=lambda key: (key[0], list(EntryKind).index(key[1])))
        return [(code, kind.name, counts[code, kind], amounts[code, kind]) for code, kind in ordered]


async def reconcile(settings: Settings, since: str) -> Reconciliation:
    """Compare the ledger with Stripe's balance transactions since a date.

    Raises:
        BadSettings: Payments are not by Stripe, or Stripe or the database can't be used.
        StorageUnavailable: The database can't be read.
    """
    secret = read_stripe_key(settings)
    if secret is None:
        raise BadSettings(f"{PREFIX}PAYMENTS: must be stripe; the simulated provider has nothing to compare with")
    from cinema_grpc.adapters.stripe.transactions import read_entries  # noqa: PLC0415 (the extra may not be installed)

    begin = datetime.combine(_date(since), time(), UTC)
    try:
        async with opened(settings, RECONCILING) as database:
            reading_time = datetime.now(UTC)
            entries = await read_entries(secret, settings.stripe_api_base, begin - MARGIN)
            charges, refunds = {each.charge_id for each in entries}, {each.refund_id for each in entries} - {""}
            ledger = await read_ledger(database, begin, charges, refunds)
            later = await read_entries(secret, settings.stripe_api_base, reading_time - CLOCKS_DIFFER)
    except ProviderUnavailable as error:
        raise BadSettings(f"{PREFIX}PAYMENTS: Stripe's balance transactions can't be read: {error}") from error
    return Reconciliation(begin, entries, compare(entries, ledger, begin, later))


def _date(text: str) -> date:
    # Other forms of ISO 8601 would be taken too, such as 20260501, and other digits.
    written = text if _DATE.fullmatch(text) else ""
    try:
        day = date.fromisoformat(written)
    except ValueError:
        day = date.min
    if day < EARLIEST:
        raise BadSettings(f"--since: must be a date from {EARLIEST} on, such as 2026-05-01, not {text!r}")
    if day > (today := datetime.now(UTC).date()):
        raise BadSettings(f"--since: must not be in the future, like {day}; it is {today} now, in UTC")
    return day


def _money_to_json(money: Money | None) -> dict[str, str | int] | None:
    return None if money is None else {"currency_code": money.currency_code, "minor_units": money.minor_units}


def _shown(money: Money | None) -> str:
    if money is None:
        return "nothing"
    try:
        return f"{money.currency_code} {major(money.minor_units, money.currency_code)}"
    except ValueError:  # a currency that ISO 4217 does not have
        return f"{money.currency_code} {money.minor_units} minor units"
