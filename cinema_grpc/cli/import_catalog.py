"""`cinema import`: adds the movies, cinemas, auditoriums and showtimes of files, all of them or nothing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cinema_grpc.adapters.database.import_store import SqlImportStore
from cinema_grpc.adapters.database.migrate import IMPORTING
from cinema_grpc.application.catalog_import import Plan, Problem
from cinema_grpc.application.import_plan import plan_import, refusals_of
from cinema_grpc.cli.import_files import read_rows
from cinema_grpc.cli.import_rows import RowReader
from cinema_grpc.cli.maintenance import opened
from cinema_grpc.config import BadSettings, Settings
from cinema_grpc.database_url import without_secrets
from cinema_grpc.payment_provider import build_provider, read_stripe_key

MAX_ROWS = 20_000
"""Of one import: it is one transaction, which other writers of an SQLite file wait for."""


async def import_catalog(settings: Settings, files: Sequence[Path], *, dry_run: bool) -> Plan:
    """Import files, while a server runs or before its first start, and return the plan that was carried out.

    Args:
        settings: Name the database and the payment provider.
        files: CSV or JSON.
        dry_run: Whether only to check them.

    Raises:
        BadSettings: A file or the database can't be used.
        OSError: A file can't be read.
        StorageUnavailable: The database failed.
    """
    problems: list[Problem] = []
    reader, number = RowReader(), 0
    for file in files:
        for row in read_rows(file, problems):
            number += 1
            if number > MAX_ROWS:
                raise BadSettings(
                    f"one import has at most {MAX_ROWS:,} rows, and {row.place} is one more; split the files"
                )
            reader.add(row)
    problems += reader.problems
    if problems:
        return Plan(problems)
    read_stripe_key(settings)  # before anything is migrated
    async with opened(settings, IMPORTING, with_migration=not dry_run) as database:
        provider = build_provider(settings, database)
        try:
            decide = partial(plan_import, reader.wanted, refusals_of(reader.wanted, provider.price_rule))
            return await SqlImportStore(database).carry_out(reader.wanted, decide, write=not dry_run)
        finally:
            await provider.close()


def describe(plan: Plan, database_url: str, *, dry_run: bool) -> str:
    """Return what an import into a database came to, in a line for each problem, and one at the end."""
    if plan.problems:
        number = len(plan.problems)
        last = f"Nothing was imported: {number} {'error' if number == 1 else 'errors'}."
        lines = [": ".join(filter(None, (each.place, each.field, each.description))) for each in plan.problems]
        return "\n".join([*lines, last])
    kinds = (plan.movies, "movies"), (plan.cinemas, "cinemas"), (plan.auditoriums, "auditoriums")
    counts = "".join(f"{len(entries):,} {kind}, " for entries, kind in kinds)
    verb = "Would create" if dry_run else "Created"
    created = f"{verb} {counts}{len(plan.showtimes):,} showtimes in {without_secrets(database_url)}"
    return "\n".join([*plan.notes, f"{created}; {plan.unchanged:,} rows were there already."])
