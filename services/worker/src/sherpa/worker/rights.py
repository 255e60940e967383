"""May our role do what relaying and handling take? Whoever may not leaves the seats to other workers."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from sherpa.db.engine import Database
from sherpa.events.seats import RELAY
from sherpa.telemetry.health import Answer
from sherpa.telemetry.logging import get_logger

GRANTED, MISSING, READ_ONLY = "granted", "missing", "read_only"

# Of tables; docs/deployment.md, *Rights*, has what else the worker's role needs.
RELAYING: Final = {"outbox": ("SELECT", "UPDATE")}
HANDLING: Final = {
    "processed_events": ("SELECT", "INSERT"),
    "failed_events": ("SELECT", "INSERT", "UPDATE", "DELETE"),
}

# A table that is not there gives NULL, and no row: the schema's check tells it.
_LOOK: Final = """
SELECT
    name,
    current_setting('transaction_read_only')::boolean AS is_read_only,
    format('GRANT %s ON %I TO %I', string_agg(privilege, ', '), name, current_user) AS remedy,
    string_agg(privilege, ', ') || ' on ' || name AS missing
FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
WHERE current_setting('transaction_read_only')::boolean
   OR NOT has_table_privilege(to_regclass(name)::oid, privilege)
GROUP BY name
"""

_log = get_logger(__name__)


class Rights:
    """What the role may do, as of the last look. `able`: those of the roles that this process can play."""

    def __init__(self, database: Database, roles: Sequence[str]) -> None:
        self._database = database
        self._roles = frozenset(roles)
        self._relaying = {role for role in roles if role == RELAY}
        needed = (RELAYING if self._relaying else {}) | (HANDLING if self._roles - self._relaying else {})
        self._needed = [(name, right) for name, rights in needed.items() for right in rights]
        self._told = ""
        self.able = self._roles

    async def look(self) -> Answer:
        """Return what is missing. A change of it is logged, once. Raises what PostgreSQL raises."""
        rows = await self._ask()
        lacking = {row["name"] for row in rows}
        unable = (self._relaying if lacking & RELAYING.keys() else set()) | (
            self._roles - self._relaying if lacking & HANDLING.keys() else set()
        )
        self.able = self._roles - unable
        if not rows:
            self._tell("")
            return Answer(GRANTED)
        if rows[0]["is_read_only"]:
            self._tell("nothing: the server, the database or the role is read-only")
            return Answer(READ_ONLY)
        self._tell("; ".join(row["remedy"] for row in rows))
        return Answer(MISSING, missing=tuple(row["missing"] for row in rows))

    async def _ask(self) -> list[asyncpg.Record]:
        names = [name for name, _ in self._needed]
        connections = self._database.engine.connections
        connection = await connections.acquire()
        is_spoilt = True
        try:
            rows = await connection.fetch(_LOOK, names, [right for _, right in self._needed])
            # What is not read-only any more may be so in new sessions only.
            is_spoilt = any(row["is_read_only"] for row in rows)
        finally:
            if is_spoilt:
                connections.discard(connection)
            else:
                await connections.release(connection)
        return rows

    def _tell(self, remedy: str) -> None:
        if remedy and remedy != self._told:
            _log.error(
                "PostgreSQL refuses what this worker needs: its seats are left to others", grant=remedy
            )
        elif self._told and not remedy:
            _log.info("PostgreSQL lets this worker do its work again")
        self._told = remedy
