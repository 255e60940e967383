"""The books of a story, kept in the database itself: what was committed, what came of it, the verdict."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from rig.patience import Patience
from sherpa.config import ServiceUrl

# A number is drawn under its aggregate's row lock, so numbers rise in the order of the commits.
TABLES = """
    CREATE TABLE chaos_aggregates (id uuid PRIMARY KEY, last_number bigint NOT NULL DEFAULT 0);
    CREATE TABLE chaos_committed (
        event_id uuid PRIMARY KEY, aggregate_id uuid NOT NULL, number bigint NOT NULL
    );
    -- No key on the event: an effect that happens twice must show.
    CREATE TABLE chaos_effects (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        handler text NOT NULL, event_id uuid NOT NULL, aggregate_id uuid NOT NULL, number bigint NOT NULL
    );
    CREATE INDEX chaos_effects_handler ON chaos_effects (handler, position);
"""
JUDGE = """
    WITH wanted AS (SELECT h.handler, c.event_id FROM chaos_committed c, unnest($1::text[]) AS h (handler)),
    ordered AS (
        SELECT number, lag(number) OVER (PARTITION BY handler, aggregate_id ORDER BY position) AS before
        FROM chaos_effects
    )
    SELECT
        (SELECT count(*) FROM wanted w WHERE NOT EXISTS (
            SELECT FROM chaos_effects e WHERE e.handler = w.handler AND e.event_id = w.event_id)) AS missing,
        (SELECT count(*) - count(DISTINCT (handler, event_id)) FROM chaos_effects) AS repeated,
        (SELECT count(*) FROM chaos_effects e WHERE NOT EXISTS (
            SELECT FROM chaos_committed c WHERE c.event_id = e.event_id)) AS invented,
        (SELECT count(*) FROM ordered WHERE before > number) AS disordered
"""
OPEN = """
    SELECT count(*) FROM chaos_committed c, unnest($1::text[]) AS h (handler) WHERE NOT EXISTS (
        SELECT FROM chaos_effects e WHERE e.handler = h.handler AND e.event_id = c.event_id)
"""
LATEST = """
    SELECT array_agg(latest ORDER BY place) FROM (
        SELECT place, (
            SELECT coalesce(max(position), 0) FROM chaos_effects e WHERE e.handler = h.handler
        ) AS latest
        FROM unnest($1::text[]) WITH ORDINALITY AS h (handler, place)
    ) AS positions
"""
POLL_SECONDS = 0.05
ANSWER_SECONDS = 10.0
# A server that starts refuses for a moment; a paused one doesn't answer.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
)


@dataclass(frozen=True)
class Verdict:
    """How the effects differ from the committed events, in events times handlers. All zero is right.

    `invented` are effects of transactions that were rolled back.
    """

    missing: int = 0
    repeated: int = 0
    invented: int = 0
    disordered: int = 0


@dataclass(frozen=True)
class Ledger:
    """Reads the books over connections of its own, straight to the server, waiting while that is away."""

    url: ServiceUrl
    handlers: Sequence[str]

    async def ask(self, query: str, *arguments: object) -> asyncpg.Record:
        """Return the query's first row, asked again while the server is away."""
        patience = Patience(ANSWER_SECONDS * 3)
        while True:
            try:
                return await self._ask_once(query, arguments)
            except AWAY:
                if patience.is_over:
                    raise
            await patience.wait(POLL_SECONDS)

    async def positions(self) -> Mapping[str, int]:
        """Return the position of each handler's latest effect, 0 where it has none."""
        row = await self.ask(LATEST, self.handlers)
        return dict(zip(self.handlers, row[0], strict=True))

    async def progressed(self, patience: Patience) -> bool:
        """Wait until every handler has an effect that it has not now; False where that takes too long."""
        before = await self.positions()
        while not patience.is_over:
            now = await self.positions()
            if all(now[handler] > position for handler, position in before.items()):
                return True
            await patience.wait(POLL_SECONDS)
        return False

    async def settle(self, patience: Patience, *, missing: int = 0) -> bool:
        """Wait until no effect but so many is to come any more; False where that takes too long."""
        while await self.unfinished() > missing:
            if patience.is_over:
                return False
            await patience.wait(4 * POLL_SECONDS)
        return True

    async def unfinished(self) -> int:
        """Return how many effects are still to come."""
        return int((await self.ask(OPEN, self.handlers))[0])

    async def verdict(self) -> Verdict:
        """Compare all effects with all that was committed."""
        return Verdict(**dict(await self.ask(JUDGE, self.handlers)))

    async def _ask_once(self, query: str, arguments: Sequence[object]) -> asyncpg.Record:
        async with asyncio.timeout(ANSWER_SECONDS):
            connection = await asyncpg.connect(self.url.reveal(), ssl=False)
            try:
                row = await connection.fetchrow(query, *arguments)
                assert row is not None, "these questions are answered by one row"
                return row
            finally:
                connection.terminate()
