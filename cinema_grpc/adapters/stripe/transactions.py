"""What Stripe has booked: its balance transactions, with what each is for."""

from datetime import UTC, datetime
from typing import Any

import stripe

from cinema_grpc.adapters.stripe.client import connect, unavailable
from cinema_grpc.adapters.stripe.money import from_stripe
from cinema_grpc.application.reconciliation import EntryKind, ProviderEntry

PAGE_SIZE = 100
KINDS = {
    "charge": EntryKind.CHARGE,
    "payment": EntryKind.CHARGE,
    "refund": EntryKind.REFUND,
    "payment_refund": EntryKind.REFUND,
    "refund_failure": EntryKind.REFUND_FAILURE,
}
CATEGORIES = {"dispute": EntryKind.DISPUTE, "dispute_reversal": EntryKind.DISPUTE_REVERSAL}
"""Kinds by the type of a transaction, and by its reporting category. Others, such as payouts and fees, are left out."""


async def read_entries(secret_key: str, api_base: str | None, since: datetime) -> list[ProviderEntry]:
    """Return what Stripe has booked since a moment, newest first.

    Raises:
        ProviderUnavailable: Stripe can't be read.
    """
    client, http = connect(secret_key, api_base)
    query: Any = {"created": {"gte": int(since.timestamp())}, "limit": PAGE_SIZE, "expand": ["data.source"]}
    entries = []
    try:
        while True:
            page = await client.v1.balance_transactions.list_async(query)
            entries += [entry for each in page.data if (entry := _entry_of(each)) is not None]
            if not page.has_more:
                return entries
            query = query | {"starting_after": page.data[-1].id}
    except stripe.StripeError as error:
        raise unavailable(error) from None
    finally:
        await http.close_async()


def _entry_of(transaction: Any) -> ProviderEntry | None:
    kind = KINDS.get(transaction.type) or CATEGORIES.get(transaction.reporting_category)
    if kind is None:
        return None
    source = transaction.source.to_dict()
    metadata = source.get("metadata") or {}
    intent = source.get("payment_intent") or source.get("charge") or source["id"]
    return ProviderEntry(
        kind,
        intent if kind is EntryKind.CHARGE else source["id"],
        intent,
        from_stripe(source["currency"], source["amount"]),  # the transaction's own may be converted
        datetime.fromtimestamp(transaction.created, UTC),
        metadata.get("refund_id", ""),
    )
