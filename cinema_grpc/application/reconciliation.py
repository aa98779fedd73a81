"""Compares the ledger with what the payment provider has booked, and names every difference."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import UNSETTLED, AttemptStatus, RefundStatus


class EntryKind(Enum):
    """What a provider has booked."""

    CHARGE = "CHARGE"
    REFUND = "REFUND"
    REFUND_FAILURE = "REFUND_FAILURE"
    DISPUTE = "DISPUTE"
    DISPUTE_REVERSAL = "DISPUTE_REVERSAL"


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """Money that the provider has booked.

    Attributes:
        provider_id: The provider's identifier of what is booked: a charge's as in PaymentAttempt, a refund's or a
            dispute's.
        charge_id: That of the charge it belongs to.
        refund_id: Ours, if the provider has it; else "".
    """

    kind: EntryKind
    provider_id: str
    charge_id: str
    amount: Money
    time: datetime
    refund_id: str = ""


@dataclass(frozen=True, slots=True)
class LedgerCharge:
    """A payment attempt that the provider knows."""

    attempt_id: str
    booking_id: str
    provider_id: str
    status: AttemptStatus
    amount: Money
    create_time: datetime


@dataclass(frozen=True, slots=True)
class LedgerRefund:
    """A refund of a charge that the provider knows; `by_hand` if it was paid by hand."""

    refund_id: str
    booking_id: str
    provider_id: str
    status: RefundStatus
    amount: Money
    create_time: datetime
    by_hand: bool


class DifferenceKind(Enum):
    """What is different; docs/payments.md says what to do."""

    UNKNOWN_CHARGE = "the provider has a charge that the ledger does not know"
    CHARGE_NOT_SETTLED = "the provider has a charge whose attempt is not settled yet"
    CHARGE_NOT_RECORDED = "the provider has a charge that took no money according to the ledger"
    MISSING_CHARGE = "the ledger has a charge that the provider does not have"
    OTHER_AMOUNT = "the amounts differ"
    UNKNOWN_REFUND = "the provider has a refund that the ledger does not know"
    MISSING_REFUND = "the ledger has a paid refund that the provider does not have"
    REFUND_FAILED = "a refund failed at the provider, but is paid according to the ledger"
    REFUND_PAID_AFTER_ALL = "a refund was paid by the provider, but has failed according to the ledger"
    REFUND_PAID_TWICE = "a refund was paid by the provider and by hand"
    DISPUTE = "a customer disputed a charge"
    DISPUTE_REVERSAL = "a dispute was won, and the money came back"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference, with what identifies it; "" and None where there is nothing."""

    kind: DifferenceKind
    provider_id: str
    booking_id: str = ""
    attempt_id: str = ""
    refund_id: str = ""
    at_provider: Money | None = None
    in_ledger: Money | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Our charges by the provider's identifier, and our refunds by refund_id."""

    charges: Mapping[str, LedgerCharge]
    refunds: Mapping[str, LedgerRefund]


def compare(
    entries: Sequence[ProviderEntry], ledger: Ledger, since: datetime, later: Sequence[ProviderEntry] = ()
) -> list[Difference]:
    """Return the differences between what a provider has booked and a ledger.

    Args:
        entries: The provider's, from some time before `since` on.
        ledger: Read after the entries, so that it knows what they come from.
        since: What is older is not compared.
        later: The provider's, read after the ledger: those that may be missing in `entries`, since they were booked
            while these were read. They are not compared.
    """
    recent = [each for each in entries if each.time >= since]
    failed = {each.provider_id for each in entries if each.kind is EntryKind.REFUND_FAILURE}
    differences = [each for entry in recent if (each := _of_entry(entry, ledger, failed)) is not None]
    known = {each.provider_id for each in (*entries, *later)}
    return differences + list(_missing(ledger, known, since))


def _of_entry(entry: ProviderEntry, ledger: Ledger, failed: set[str]) -> Difference | None:
    match entry.kind:
        case EntryKind.CHARGE:
            return _of_charge(entry, ledger)
        case EntryKind.REFUND:
            return _of_refund(entry, ledger, failed)
        case EntryKind.REFUND_FAILURE:
            refund = ledger.refunds.get(entry.refund_id)
            if refund is None or refund.by_hand or refund.status is RefundStatus.FAILED:
                return None
            return _difference(DifferenceKind.REFUND_FAILED, entry, ledger)
    return _difference(DifferenceKind[entry.kind.name], entry, ledger)


def _of_charge(entry: ProviderEntry, ledger: Ledger) -> Difference | None:
    charge = ledger.charges.get(entry.provider_id)
    if charge is None:
        kind = DifferenceKind.UNKNOWN_CHARGE
    elif charge.status in UNSETTLED:
        kind = DifferenceKind.CHARGE_NOT_SETTLED
    elif charge.status is not AttemptStatus.CHARGED:
        kind = DifferenceKind.CHARGE_NOT_RECORDED
    elif charge.amount != entry.amount:
        kind = DifferenceKind.OTHER_AMOUNT
    else:
        return None
    return _difference(kind, entry, ledger)


def _of_refund(entry: ProviderEntry, ledger: Ledger, failed: set[str]) -> Difference | None:
    refund = ledger.refunds.get(entry.refund_id)
    if refund is None or refund.provider_id not in {"", entry.provider_id}:
        kind = DifferenceKind.UNKNOWN_REFUND
    elif refund.amount != entry.amount:
        kind = DifferenceKind.OTHER_AMOUNT
    elif entry.provider_id not in failed and refund.by_hand:
        kind = DifferenceKind.REFUND_PAID_TWICE
    elif entry.provider_id not in failed and refund.status is RefundStatus.FAILED:
        kind = DifferenceKind.REFUND_PAID_AFTER_ALL
    else:
        return None
    return _difference(kind, entry, ledger)


def _missing(ledger: Ledger, known: set[str], since: datetime) -> Iterable[Difference]:
    for charge in ledger.charges.values():
        if charge.status is AttemptStatus.CHARGED and charge.create_time >= since and charge.provider_id not in known:
            yield Difference(
                DifferenceKind.MISSING_CHARGE,
                charge.provider_id,
                charge.booking_id,
                charge.attempt_id,
                in_ledger=charge.amount,
            )
    for refund in ledger.refunds.values():
        paid = refund.status is RefundStatus.COMPLETED and refund.amount.minor_units and not refund.by_hand
        if paid and refund.create_time >= since and refund.provider_id not in known:
            yield Difference(
                DifferenceKind.MISSING_REFUND,
                refund.provider_id,
                refund.booking_id,
                refund_id=refund.refund_id,
                in_ledger=refund.amount,
            )


def _difference(kind: DifferenceKind, entry: ProviderEntry, ledger: Ledger) -> Difference:
    charge, refund = ledger.charges.get(entry.charge_id), ledger.refunds.get(entry.refund_id)
    ours = charge if entry.kind is EntryKind.CHARGE else refund
    return Difference(
        kind,
        entry.provider_id,
        "" if charge is None else charge.booking_id,
        "" if charge is None else charge.attempt_id,
        entry.refund_id,
        entry.amount,
        None if ours is None else ours.amount,
    )
