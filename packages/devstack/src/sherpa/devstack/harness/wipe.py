"""What a test leaves in a database, taken away in one statement: the rows of its tables and its sequences' steps."""

import asyncpg

from sherpa.devstack.harness.fingerprint import USER_SEQUENCES, USER_TABLES


async def statement(template: asyncpg.Connection) -> str:
    """Return SQL that empties each table that is empty in the template, resets each sequence, and counts the rows.

    Tables that migrations have filled are left alone: a change in one is for the proof to find.
    """
    tables = [row["name"] for row in await template.fetch(USER_TABLES)]
    empty = [name for name in tables if not await template.fetchval(f"SELECT EXISTS (SELECT FROM {name})")]
    sequences = [row["name"] for row in await template.fetch(USER_SEQUENCES)]
    deletes = [f"wiped_{n} AS (DELETE FROM {name} RETURNING 1)" for n, name in enumerate(empty)]
    counts = [f"(SELECT count(*) FROM wiped_{n})" for n in range(len(empty))]
    columns = [" + ".join(counts) or "0", *[await _reset(template, name) for name in sequences]]
    with_deletes = f"WITH {', '.join(deletes)} " if deletes else ""
    return f"{with_deletes}SELECT {', '.join(columns)}"


async def _reset(template: asyncpg.Connection, sequence: str) -> str:
    last, called = await template.fetchrow(f"SELECT last_value, is_called FROM {sequence}")
    changed = f"(last_value, is_called) IS DISTINCT FROM ({last}, {called})"
    name = sequence.replace("'", "''")
    return f"(SELECT setval('{name}', {last}, {called}) FROM {sequence} WHERE {changed})"
