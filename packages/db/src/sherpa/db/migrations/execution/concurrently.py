"""CREATE INDEX CONCURRENTLY, made resumable: what a broken-off one left is removed before the next.

PostgreSQL leaves an invalid index behind when the statement fails or its client dies: each write pays for it,
no query uses it, and IF NOT EXISTS takes it for the index.
"""

import re
from dataclasses import dataclass

import asyncpg

from sherpa.db.migrations.errors import BrokenMigrationError, IndexBusyError
from sherpa.db.migrations.events import Notice, Report
from sherpa.db.migrations.execution.blocking import SESSION_COLUMNS, read_session
from sherpa.db.migrations.sqltext import normalise

# These read a statement that is normalised: no comments, one blank at most between words.
_NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_CREATE = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY\b", re.IGNORECASE)
_RESUMABLE = re.compile(
    rf"{_CREATE.pattern} IF NOT EXISTS ?(?P<name>{_NAME}) ?ON ?(?:ONLY\b ?)?"
    rf"(?P<table>{_NAME}(?: ?\. ?{_NAME})*)",
    re.IGNORECASE,
)
_CONCURRENT = re.compile(
    r"(?:CREATE|DROP|REINDEX|REFRESH|ALTER)\b.* CONCURRENTLY\b", re.IGNORECASE | re.DOTALL
)
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*\"""")

# Names go to the server as they are written: it folds, unquotes and truncates them as in the statement.
# An index lives in its table's schema.
_FIND = """
SELECT i.indexrelid AS oid, format('%I.%I', n.nspname, c.relname) AS name,
       i.indisvalid AND i.indisready AND i.indislive AS is_valid
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = to_regclass($2) AND c.relname = (parse_ident($1))[1]::name
"""
# Which index somebody builds, the server shows only to those with rights on the builder's role; to others the
# lock tells that a builder keeps on the table.
_BUILDERS = """
FROM pg_stat_progress_create_index AS p
JOIN pg_locks AS l USING (pid)
LEFT JOIN pg_stat_activity AS a ON a.pid = p.pid
WHERE p.datname = current_database() AND coalesce(p.index_relid, $2) = $2
  AND l.relation = to_regclass($1) AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted
"""
_BUILDER = f"SELECT p.pid, {SESSION_COLUMNS} {_BUILDERS}"


@dataclass(frozen=True, slots=True)
class ConcurrentIndex:
    """An index that a statement builds concurrently: its name and its table's, as SQL writes them."""

    name: str
    table: str


def is_concurrent(statement: str) -> bool:
    """Tell whether the statement takes its time, and locks that nobody's reading or writing queues behind."""
    return _CONCURRENT.match(_QUOTED.sub("''", normalise(statement))) is not None


def read_index(statement: str) -> ConcurrentIndex | None:
    """Return the index that the statement builds concurrently, None for another statement.

    Raises ValueError where a second run could not go on from what the first one left.
    """
    text = normalise(statement)
    if not _CREATE.match(text):
        return None
    match = _RESUMABLE.match(text)
    if match is None:
        raise ValueError(
            f"`{text}` may have to run twice, and could not: "
            f"write CREATE INDEX CONCURRENTLY IF NOT EXISTS name ON table …, with a name."
        )
    return ConcurrentIndex(match["name"], match["table"])


async def remove_invalid(connection: asyncpg.Connection, index: ConcurrentIndex, report: Report) -> None:
    """Drop what a broken-off build left of the index, if anything.

    Raises `IndexBusyError` when somebody is building it right now.
    """
    found = await connection.fetchrow(_FIND, index.name, index.table)
    if found is None or found["is_valid"]:
        return
    if builder := await connection.fetchrow(_BUILDER, index.table, found["oid"]):
        raise IndexBusyError(
            f"The index {found['name']} is being built right now by {read_session(builder)}. "
            f"Let it end, or end it, then run the command again."
        )
    report(Notice(f"removing the invalid index {found['name']}: its build was broken off"))
    await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {found['name']}")


async def require_valid(connection: asyncpg.Connection, index: ConcurrentIndex) -> None:
    """Raise `BrokenMigrationError` unless the index is there, on its table, and serves queries."""
    found = await connection.fetchrow(_FIND, index.name, index.table)
    if found is None:
        raise BrokenMigrationError(
            f"After its statement there is no index {index.name} on {index.table}: something else in that "
            f"schema has the name, and IF NOT EXISTS passed over it. Take another name."
        )
    if not found["is_valid"]:
        raise BrokenMigrationError(f"The index {found['name']} is not valid: run the command again.")
