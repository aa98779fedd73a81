"""Whether a PostgreSQL database and its user fit."""

import asyncpg

from cinema_grpc.adapters.database.driver import Rights

ENCODINGS = """SELECT name, upper(current_setting(name))
    FROM unnest('{server_encoding,client_encoding}'::text[]) AS settings(name)"""
LACKING = """SELECT wanted.name, wanted.privilege FROM unnest($1::text[], $2::text[]) AS wanted(name, privilege)
    WHERE NOT CASE wanted.name WHEN '' THEN has_database_privilege(current_database(), wanted.privilege)
        ELSE coalesce(has_table_privilege(to_regclass(wanted.name)::oid, wanted.privilege), false) END"""


async def check_fitness(raw: "asyncpg.Connection[asyncpg.Record]", rights: Rights) -> None:
    """Check that a database can store any text, and that its user has rights.

    Raises:
        OSError: It can't, or the user lacks some; the message names what is missing.
    """
    for name, encoding in await raw.fetch(ENCODINGS):
        if encoding != "UTF8":
            raise OSError(f"the database's {name} is {encoding} and has to be UTF8")
    wanted = [(name, privilege) for name, privileges in rights.items() for privilege in privileges]
    lacking: dict[str, list[str]] = {}
    for name, privilege in await raw.fetch(LACKING, *map(list, zip(*wanted, strict=True))) if wanted else ():
        lacking.setdefault(name or "the database", []).append(privilege)
    if lacking:
        what = "; ".join(f"{', '.join(privileges)} on {name}" for name, privileges in lacking.items())
        raise PermissionError(f"the role {await raw.fetchval('SELECT current_user')} lacks {what}")


async def check_locks(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Check that no other session keeps a table of sales locked, as VACUUM FULL does.

    Raises:
        OSError: One does, for longer than `lock_timeout`; the message names the table.
    """
    for table in ("showtime", "booking", "seat_claim"):
        try:
            # Two statements are a transaction. One for each table, so that none waits for one while it holds another.
            await connection.execute(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE; SELECT 1")
        except asyncpg.LockNotAvailableError as error:
            raise TimeoutError(f"another session keeps the table {table} locked") from error
