"""A producer as a process of its own: commits numbered events, rolls some back, until it is told to stop.

    python -m rig.producing RESULT_FILE     (DATABASE_URL names the database)

What it knows of its own transactions is written as JSON to the file at its end.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from rig.events import Counted
from sherpa.config import DatabaseSettings, ServiceUrl, SslMode
from sherpa.db.engine import Database
from sherpa.db.errors import CommitOutcomeUnknownError, DatabaseError
from sherpa.db.transaction import Transaction
from sherpa.events.event import Event
from sherpa.events.publishing import publish_all

WRITERS = 4
AGGREGATES = 40
ROLLED_BACK_SHARE = 0.15
# These commit late: events that are younger are published before them.
SLOW_SHARE, SLOW_SECONDS = 0.02, 0.7
DRAW = "UPDATE chaos_aggregates SET last_number = last_number + 1 WHERE id = $1 RETURNING last_number"
RECORD = "INSERT INTO chaos_committed (event_id, aggregate_id, number) VALUES ($1, $2, $3)"


class ChangedMindError(Exception):
    """The transaction is to be rolled back."""


REFUSED = "transaction refused"


@dataclass
class Tally:
    """Events by what became of their transactions, as far as the producer knows."""

    acknowledged: int = 0
    rolled_back: int = 0
    failed: int = 0
    unknown: int = 0


@dataclass
class Producer:
    """Writes transactions of one to three events, at so many transactions a second."""

    database: Database
    rate: float
    aggregates: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(AGGREGATES)])
    tally: Tally = field(default_factory=Tally)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Produce until told to stop."""
        async with self.database.transaction() as transaction:
            await transaction.connection.execute(
                "INSERT INTO chaos_aggregates (id) SELECT unnest($1::uuid[])", self.aggregates
            )
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(self._write_on())

    async def _write_on(self) -> None:
        while not self.stopping.is_set():
            # In one order, or two transactions would wait for each other.
            chosen = sorted(random.choices(self.aggregates, k=random.choice((1, 1, 2, 3))))
            await self._count(chosen)
            await asyncio.sleep(random.expovariate(self.rate / WRITERS))

    async def _count(self, chosen: list[UUID]) -> None:
        try:
            async with self.database.transaction() as transaction:
                await self._write(transaction, chosen)
        except ChangedMindError:
            self.tally.rolled_back += len(chosen)
        except CommitOutcomeUnknownError:
            self.tally.unknown += len(chosen)
        except (DatabaseError, asyncpg.PostgresError, TimeoutError) as error:
            self.tally.failed += len(chosen)
            print(f"{REFUSED}: {error}", flush=True)  # noqa: T201 - a story may wait for it
        else:
            self.tally.acknowledged += len(chosen)

    async def _write(self, transaction: Transaction, chosen: list[UUID]) -> None:
        connection = transaction.connection
        events = []
        for aggregate in chosen:
            number = await connection.fetchval(DRAW, aggregate)
            events.append(Event(aggregate_id=aggregate, payload=Counted(number=number)))
            await connection.execute(RECORD, events[-1].id, aggregate, number)
        await publish_all(transaction, events)
        if random.random() < SLOW_SHARE:
            await asyncio.sleep(random.uniform(0, SLOW_SECONDS))
        if random.random() < ROLLED_BACK_SHARE:
            raise ChangedMindError


async def commit(database: Database, aggregates: Sequence[Sequence[str]]) -> None:
    """Commit one transaction: for each aggregate, a new one, as many events as it has deeds."""
    async with database.transaction() as transaction:
        for deeds in aggregates:
            aggregate = uuid4()
            events = [
                Event(aggregate_id=aggregate, payload=Counted(number=number, deed=deed))
                for number, deed in enumerate(deeds, 1)
            ]
            for event in events:
                await transaction.connection.execute(RECORD, event.id, aggregate, event.payload.number)
            await publish_all(transaction, events)


async def main() -> Tally:
    """Produce until SIGTERM, and return the tally."""
    url = ServiceUrl.parse(os.environ["DATABASE_URL"])
    settings = DatabaseSettings(
        url=url, ssl_mode=SslMode.DISABLE, min_connections=1, max_connections=WRITERS + 2
    )
    async with Database(settings, application_name="chaos-producer") as database:
        producer = Producer(database, rate=float(os.environ["CHAOS_RATE"]))
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, producer.stopping.set)
        await producer.run()
    return producer.tally


if __name__ == "__main__":
    tally = asyncio.run(main())
    Path(sys.argv[1]).write_text(json.dumps(asdict(tally)))
