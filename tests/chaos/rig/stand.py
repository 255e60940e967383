"""A story's whole world: two servers, workers, a producer, and the books, in one block."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from rig.ledger import Ledger, Verdict
from rig.patience import Patience
from rig.producing import REFUSED, Tally, commit
from rig.programs import Crew, Program
from rig.proxy import Proxy
from rig.servers import PASSWORD, Servers
from sherpa.db.engine import Database
from sherpa.devstack import ports
from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.session import Session
from sherpa.devstack.resp import RedisConnection, Reply

HANDLERS = ("chaos.each", "chaos.batch", "chaos.set")
SETTLE_SECONDS = 60.0
# The promise is about servers that have come back; workers that start first load Python.
START_SECONDS = 30.0
RATE = 60.0
# In large pieces, and then in small ones: until not even one more event has room.
FILL = """
    WITH filled AS (
        INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload, processed_at)
        SELECT gen_random_uuid(), 'chaos', gen_random_uuid(), 'chaos.filling', '{}', now()
        FROM generate_series(1, $1)
        RETURNING 1
    )
    SELECT count(*) FROM filled
"""


@dataclass
class Stand:
    """What a story may hurt, and how it sees what became of that."""

    servers: Servers
    ledger: Ledger
    crew: Crew
    folder: Path
    to_postgres: Proxy
    to_valkey: Proxy
    producer: Program | None = None
    recoveries: list[tuple[str, float]] = field(default_factory=list)

    @property
    def _result(self) -> Path:
        return self.folder / "tally.json"

    async def begin(self, *, workers: int, rate: float = RATE) -> None:
        """Start producing and working, and wait for the first effects."""
        self.produce(rate)
        self.crew.hire(workers)
        assert await self.ledger.progressed(Patience(START_SECONDS)), self.words()

    def produce(self, rate: float = RATE) -> None:
        """Start a producer of so many transactions a second; it goes to the server straight."""
        self.producer = Program.start(
            "rig.producing",
            str(self._result),
            folder=self.folder,
            name="producer",
            environment={"DATABASE_URL": self.servers.database_url().reveal(), "CHAOS_RATE": str(rate)},
        )

    async def stop_producing(self) -> Tally:
        """Let the producer finish, and return what it knows."""
        assert self.producer is not None
        assert await self.producer.stop() == 0, self.producer.tail()
        self.producer = None
        return Tally(**json.loads(self._result.read_text()))

    async def recover(self, fault: str, *, within_seconds: float) -> None:
        """Demand a new effect of every handler within so many seconds from now, and note how long it took."""
        patience = Patience(within_seconds)
        assert await self.ledger.progressed(patience), f"no recovery from: {fault}\n{self.words()}"
        self.recoveries.append((fault, patience.seconds))

    async def redis(self, *words: str) -> Any:
        """Return Valkey's answer to one command, on a connection straight to it."""

        def ask() -> Reply:
            with RedisConnection(ports.LOOPBACK, self.servers.valkey.port, password=PASSWORD) as connection:
                return connection.ask(*words)

        return await asyncio.to_thread(ask)

    async def pending(self) -> int:
        """Return how many events wait in the outbox."""
        return int((await self.ledger.ask("SELECT count(*) FROM outbox WHERE processed_at IS NULL"))[0])

    async def published(self) -> int:
        """Return how many events the outbox has marked as published."""
        return int((await self.ledger.ask("SELECT count(processed_at) FROM outbox"))[0])

    async def appended(self) -> list[int]:
        """Return how many entries each stream has ever had, trimmed ones included, by partition."""
        states = [await self.redis("XINFO", "STREAM", name) for name in await self._streams()]
        return [state[state.index(b"entries-added") + 1] for state in states]

    async def waiting(self) -> int:
        """Return how many entries the streams have now."""
        return sum([await self.redis("XLEN", name) for name in await self._streams()])

    async def memory(self) -> int:
        """Return how many bytes Valkey uses."""
        lines = (await self.redis("INFO", "memory")).decode().splitlines()
        return int(dict(line.split(":", 1) for line in lines if ":" in line)["used_memory"])

    async def _streams(self) -> list[str]:
        names = [key.decode() for key in sorted(await self.redis("KEYS", "sherpa:events:*"))]
        return [name for name in names if await self.redis("TYPE", name) == b"stream"]

    async def operate(self, *words: str) -> None:
        """Run an operator's command, `python -m sherpa.events …`, which must end well."""
        environment = {**self.crew.environment, "DATABASE_URL": self.servers.database_url().reveal()}
        program = Program.start(
            "sherpa.events", *words, folder=self.folder, name=words[0], environment=environment
        )
        assert await asyncio.to_thread(program.process.wait, START_SECONDS) == 0, program.tail()

    async def commit(self, *aggregates: Sequence[str]) -> None:
        """Commit events in one transaction: for each aggregate some, with these deeds ("": none)."""
        async with Database(self.servers.database_settings(), application_name="chaos") as database:
            await commit(database, aggregates)

    async def await_row(self, query: str, *, expected: int, seconds: float = START_SECONDS) -> None:
        """Wait until the query's answer is that number; workers that have died are replaced meanwhile."""
        patience = Patience(seconds)
        while (found := (await self.ledger.ask(query))[0]) != expected:
            assert not patience.is_over, f"{found} instead of {expected}: {query}\n{self.words()}"
            await self.crew.replace_dead()
            await patience.wait(0.1)

    async def fill_disk_for_all(self) -> None:
        """Fill the disk until the producer, too, was refused: vacuum may make room for some at any time."""
        assert self.producer is not None
        patience = Patience(START_SECONDS)
        while not self.producer.has_said(REFUSED):
            assert not patience.is_over, self.words()
            await self.fill_disk()
            await patience.wait()

    async def fill_disk(self) -> None:
        """Add published events to the outbox until its file can't grow."""
        for rows in (10_000, 100, 1):
            with contextlib.suppress(asyncpg.InternalServerError):  # could not extend file
                while True:
                    await self.ledger.ask(FILL, rows)

    async def empty_disk(self) -> None:
        """Delete what filled the outbox, so that its file has room."""
        connection = await asyncpg.connect(self.ledger.url.reveal())
        try:
            await connection.execute("DELETE FROM outbox WHERE event_type = 'chaos.filling'")
            await connection.execute("VACUUM outbox")
        finally:
            await connection.close()

    async def finish(self, *, missing: int = 0) -> Verdict:
        """Stop producing, let all that was committed have its effects, and compare; workers end well.

        So many effects are not waited for.
        """
        if self.producer:
            await self.check_books(await self.stop_producing())
        self.crew.require_alive()
        await self.ledger.settle(Patience(SETTLE_SECONDS), missing=missing)
        codes = await self.crew.dismiss()
        assert not any(codes), f"exit codes {codes}\n{self.words()}"
        return await self.ledger.verdict()

    async def check_books(self, tally: Tally) -> None:
        """Compare the books with what the producer was told: only of unknown outcomes may they differ."""
        committed = (await self.ledger.ask("SELECT count(*) FROM chaos_committed"))[0]
        assert tally.acknowledged <= committed <= tally.acknowledged + tally.unknown, (tally, committed)
        assert tally.acknowledged > 0 < tally.rolled_back, tally

    def words(self) -> str:
        """Return the ends of all programs' logs."""
        logs = sorted(self.folder.glob("*.log"))
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs]
        return "\n".join(tails)

    async def close(self) -> None:
        """Kill what still runs."""
        if self.producer:
            await self.producer.kill()
        await self.crew.clear()


@contextlib.asynccontextmanager
async def opened(
    prepared: Path,
    folder: Path,
    *,
    proxied: bool = False,
    file_bytes: int | None = None,
    **variables: str,
) -> AsyncIterator[Stand]:
    """Start servers with a copy of the prepared data; stop and remove all of it at the end of the block.

    `variables` are for the workers' environment. Where it is proxied, workers reach the servers through the
    stand's proxies, else straight. PostgreSQL's files are no longer than `file_bytes`.
    """
    session = Session.new(place.choose())
    with session.join():
        servers = Servers.new(session, prepared)
        try:
            await servers.start(file_bytes=file_bytes)
            async with (
                Proxy(servers.postgres.port).serve() as to_postgres,
                Proxy(servers.valkey.port).serve() as to_valkey,
            ):
                environment = {
                    "DATABASE_URL": servers.database_url(to_postgres.port if proxied else None).reveal(),
                    "REDIS_URL": servers.redis_url(to_valkey.port if proxied else None),
                    "DATABASE_SSL_MODE": "disable",
                    "ENVIRONMENT": "development",
                    "WORKER_HOST": ports.LOOPBACK,
                    **variables,
                }
                stand = Stand(
                    servers,
                    Ledger(servers.database_url(), HANDLERS),
                    Crew(folder, environment),
                    folder,
                    to_postgres,
                    to_valkey,
                )
                try:
                    yield stand
                finally:
                    await stand.close()
        finally:
            with contextlib.suppress(AssertionError, psutil.Error):
                servers.postgres.resume()
            leftovers.stop_servers(session)
    leftovers.end(session)


type OpenStand = Callable[..., AbstractAsyncContextManager[Stand]]
"""`opened`, with the prepared data and the folder given."""
