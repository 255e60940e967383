"""The key that a data migration walks a table by: what it must be, and the rows between two of its values."""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from sherpa.db.migrations.errors import BrokenMigrationError

# Both names are read as SQL reads them: with a schema, in quotes, in any case.
_DESCRIBE: Final = """
SELECT format('%I.%I', n.nspname, c.relname) AS table, quote_ident(a.attname) AS column,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS is_required,
       EXISTS (
           SELECT FROM pg_index i
           JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
           WHERE i.indrelid = c.oid AND i.indkey[0] = a.attnum AND m.amname = 'btree'
             AND i.indisvalid AND i.indpred IS NULL
       ) AS is_indexed
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = (parse_ident($2))[1]
WHERE c.oid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
"""

# Sorted, not aggregated: before PostgreSQL 18 a uuid has no max(). And sorted by `t.<column>`: the
# bare name would be that of the text, in which 9 comes after 10.
_LAST: Final = "SELECT t.<column>::text FROM <table> t ORDER BY t.<column> DESC LIMIT 1"
_SPAN: Final = """
WITH next AS MATERIALIZED (
    SELECT t.<column> AS key FROM <table> t
    WHERE t.<column> <= $1::text::<type> <beyond> ORDER BY t.<column> LIMIT $2
)
SELECT first.key AS first, last.key AS last, last.key::text AS end, (SELECT count(*) FROM next) AS rows
FROM (SELECT key FROM next ORDER BY key LIMIT 1) first, (SELECT key FROM next ORDER BY key DESC LIMIT 1) last
"""
_BEYOND: Final = "AND t.<column> > $3::text::<type>"

# Up to here a count is a matter of milliseconds; beyond, the planner's estimate is near enough.
_COUNTED_ROWS: Final = 100_000
_COUNT: Final = "SELECT count(*) FROM (SELECT FROM <table> LIMIT $1) few"
_ESTIMATE: Final = "EXPLAIN (FORMAT JSON) SELECT FROM <table>"


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring rows of a table: the first and the last key, the last one's text, the number of rows."""

    first: Any
    last: Any
    end: str
    rows: int


@dataclass(frozen=True, slots=True)
class Key:
    """A column with an index that leads through a whole table; all names are ready to stand in SQL."""

    table: str
    column: str
    type: str

    async def last(self, connection: asyncpg.Connection) -> str | None:
        """Return the greatest key as text; None for an empty table."""
        last: str | None = await connection.fetchval(self._name(_LAST))
        return last

    async def span(
        self, connection: asyncpg.Connection, after: str | None, until: str, rows: int
    ) -> Span | None:
        """Return the next `rows` rows beyond `after`, up to `until`; None when none is left."""
        beyond = () if after is None else (after,)
        query = _SPAN.replace("<beyond>", _BEYOND if beyond else "")
        row = await connection.fetchrow(self._name(query), until, rows, *beyond)
        return Span(**row) if row else None

    async def count(self, connection: asyncpg.Connection) -> int:
        """Return the number of rows: exact where they are few, the planner's estimate where they are many."""
        counted: int = await connection.fetchval(self._name(_COUNT), _COUNTED_ROWS + 1)
        if counted <= _COUNTED_ROWS:
            return counted
        plan = json.loads(await connection.fetchval(self._name(_ESTIMATE)))
        return max(counted, int(plan[0]["Plan"]["Plan Rows"]))

    def _name(self, query: str) -> str:
        names = {"<table>": self.table, "<column>": self.column, "<type>": self.type}
        return re.sub("|".join(names), lambda match: names[match.group()], query)


async def find_key(connection: asyncpg.Connection, table: str, column: str) -> Key:
    """Look the key up in the catalogue; raise `BrokenMigrationError` for one that batches can't go by."""
    row = await connection.fetchrow(_DESCRIBE, table, column)
    if row is None:
        raise BrokenMigrationError(f"There is no table {table} with a column {column} on the search_path.")
    if not row["is_required"]:
        raise BrokenMigrationError(
            f"{table}.{column} may be NULL, and batches would never come to such a row: "
            f"go by a column that is NOT NULL, as the primary key."
        )
    if not row["is_indexed"]:
        raise BrokenMigrationError(
            f"{table}.{column} begins no index that is valid and whole, so each batch would read the table "
            f"from its start: go by the primary key, or make an index first."
        )
    return Key(row["table"], row["column"], row["type"])
