"""What a test leaves in a database, taken away in one statement: tables' rows and sequences' steps."""

# ruff: noqa: S608 - SQL is put together from names that PostgreSQL itself has quoted (regclass)

import asyncpg

from sherpa.devstack.harness.fingerprint import USER_SEQUENCES, USER_TABLES


async def statement(template: asyncpg.Connection) -> str:
    """Return SQL that empties the tables which the template has empty, resets sequences, and counts rows.

    Tables that migrations have filled are left alone: a change in one is for the proof to find.
    """
    tables = [row["name"] for row in await template.fetch(USER_TABLES)]
    empty = [
        name for name in tables if not await template.fetchval(f"SELECT EXISTS (SELECT FROM ONLY {name})")
    ]
    sequences = [row["name"] for row in await template.fetch(USER_SEQUENCES)]
    deletes = [f"wiped_{n} AS (DELETE FROM ONLY {name} RETURNING 1)" for n, name in enumerate(empty)]
    counts = [f"(SELECT count(*) FROM wiped_{n})" for n in range(len(empty))]
    columns = [" + ".join(counts) or "0", *[await _reset(template, name) for name in sequences]]
    return (f"WITH {', '.join(deletes)} " if deletes else "") + f"SELECT {', '.join(columns)}"


async def _reset(template: asyncpg.Connection, sequence: str) -> str:
    [(last, called)] = await template.fetch(f"SELECT last_value, is_called FROM {sequence}")
    changed = f"(last_value, is_called) IS DISTINCT FROM ({last}, {called})"
    name = sequence.replace("'", "''")
    return f"(SELECT setval('{name}', {last}, {called}) FROM {sequence} WHERE {changed})"
