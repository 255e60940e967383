"""How benchmarks/events.py measures: from outside, by what the servers show of a contender's progress."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import asyncpg
import psutil
from events_contender import EFFECTS, HANDLING, RELAY, TWO_RELAYS, Contender, Place, Publish
from redis.asyncio import Redis

CHILD = Path(__file__).with_name("events_child.py")
CONNECTIONS, FILL = 8, 100
WARM_UP = 20
# The first tenth is starting up, and the last few may wait for a batch that is not full.
FROM_SHARE, TO_SHARE = 0.1, 0.98
SAMPLE_SECONDS = 0.01
LATENCY_SECONDS = 5.0
STUCK_SECONDS = 20.0


type Check = Callable[..., None]
"""Raises SystemExit with what the processes said, where one has ended, or they are stuck."""


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    waiting = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests' time is in user's already
    return sum(times) - sum(getattr(times, name, 0.0) for name in waiting)


@dataclass(frozen=True)
class Sample:
    """How many events were done at a moment, and how long the machine's cores had worked by then."""

    done: int
    moment: float = field(default_factory=time.perf_counter)
    busy_seconds: float = field(default_factory=_busy_seconds)


@dataclass(frozen=True)
class Pace:
    """How fast a backlog was worked off, and with how much of the machine: its servers' share included."""

    events_per_second: float
    busy_cores: float


@dataclass(frozen=True)
class Trial:
    """One contender on a fresh database and an empty Redis."""

    key: str
    contender: Contender
    place: Place
    redis: Redis = field(repr=False)
    share: float = 1.0

    async def publish(self, count: int, per_transaction: int) -> float:
        """Return the events that were published a second, over eight connections."""
        async with self.contender.publisher(self.place, CONNECTIONS) as publish:
            await asyncio.gather(*(publish([number]) for number in range(CONNECTIONS)))
            began = time.perf_counter()
            await _publish_all(publish, count, per_transaction)
            return count / (time.perf_counter() - began)

    async def work(self, job: str) -> Pace:
        """Return how the contender works a backlog off."""
        count = max(FILL, int(self.contender.jobs[job] * self.share))
        async with self.contender.publisher(self.place, CONNECTIONS) as publish:
            await _publish_all(publish, count, FILL)
        if job in HANDLING and self.contender.handles_streams:
            async with self._children(RELAY) as check:
                await self._watch(self._appended, count, check)
        progress = self._handled if job in HANDLING else self._appended
        async with self._children(job) as check:
            return _pace(await self._watch(progress, count, check), count)

    async def latency(self, per_second: int) -> tuple[float, float]:
        """Return p50 and p99 of the milliseconds from COMMIT until another client has read the entry."""
        count = max(WARM_UP, int(LATENCY_SECONDS * per_second * self.share))
        committed: dict[int, float] = {}
        async with (
            self._children(RELAY) as check,
            self.contender.publisher(self.place, CONNECTIONS) as publish,
        ):
            await _publish_all(publish, WARM_UP, 1)
            await self._watch(self._appended, WARM_UP, check)
            reading = asyncio.create_task(self._read(count))
            await _publish_steadily(publish, count, per_second, committed)
            async with asyncio.timeout(STUCK_SECONDS):
                read = await reading
        taken = [1000 * (moment - committed[number]) for number, moment in read.items()]
        return statistics.median(taken), statistics.quantiles(taken, n=100)[98]

    @asynccontextmanager
    async def _children(self, job: str) -> AsyncIterator[Check]:
        """Run the processes that do the job; the block gets what watches them."""
        environment = {
            **os.environ,
            "BENCH_DATABASE_URL": self.place.database_url,
            "BENCH_REDIS_URL": self.place.redis_url,
        }
        with tempfile.TemporaryFile() as words:
            count = 2 if job == TWO_RELAYS else 1
            children = [
                self._start(job, {**environment, "BENCH_CHILD": str(at)}, words) for at in range(count)
            ]

            def check(*, is_stuck: bool = False) -> None:
                if is_stuck or any(child.poll() is not None for child in children):
                    words.seek(0)
                    said = words.read().decode(errors="replace")[-4000:]
                    raise SystemExit(f"{self.contender.name} stopped doing {job}:\n{said}")

            try:
                yield check
            finally:
                for child in children:
                    child.kill()
                    child.wait()

    def _start(self, job: str, environment: Mapping[str, str], words: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(CHILD), self.key, job]
        return subprocess.Popen(command, env=environment, stdout=words, stderr=words)

    async def _watch(self, progress: Callable[[], Awaitable[int]], count: int, check: Check) -> list[Sample]:
        """Return when how many were done, until all are."""
        samples = [Sample(0)]
        moved = samples[0].moment
        while samples[-1].done < count:
            sample = Sample(await progress())
            if sample.done > samples[-1].done:
                moved = sample.moment
            check(is_stuck=sample.moment - moved > STUCK_SECONDS)
            samples.append(sample)
            await asyncio.sleep(SAMPLE_SECONDS)
        return samples

    async def _appended(self) -> int:
        return sum([await self.redis.xlen(stream) for stream in self.contender.streams])

    async def _handled(self) -> int:
        connection = await asyncpg.connect(self.place.database_url)
        try:
            return int(await connection.fetchval("SELECT coalesce(max(position), 0) FROM effects"))
        finally:
            await connection.close()

    async def _read(self, count: int) -> dict[int, float]:
        """Read so many new entries, and return when each was there, by its event's number."""
        stream, last = self.contender.streams[0], "$"
        found: dict[int, float] = {}
        while len(found) < count:
            answer: Any = await self.redis.xread({stream: last}, block=1000)
            for _, entries in answer:
                moment = time.monotonic()
                for identity, fields in entries:
                    last = identity
                    found[self.contender.number_of(fields)] = moment
        return found


@asynccontextmanager
async def trial(
    key: str, contender: Contender, maintenance_url: str, redis_url: str, *, share: float = 1.0
) -> AsyncIterator[Trial]:
    """Make a fresh database with the contender's tables, empty Redis, and remove both afterwards."""
    name = "trial"
    maintenance = await asyncpg.connect(maintenance_url)
    redis: Redis = Redis.from_url(redis_url, protocol=2)
    await redis.flushall()
    await maintenance.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await maintenance.execute(f"CREATE DATABASE {name}")
    place = Place(maintenance_url.replace("/postgres", f"/{name}"), redis_url)
    connection = await asyncpg.connect(place.database_url)
    await connection.execute(EFFECTS)
    await contender.prepare(place)
    try:
        yield Trial(key, contender, place, redis, share)
    finally:
        await connection.close()
        await redis.aclose()
        await maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await maintenance.close()


async def _publish_all(publish: Publish, count: int, per_transaction: int) -> None:
    batches = iter([range(at, at + per_transaction) for at in range(0, count, per_transaction)])

    async def work() -> None:
        for batch in batches:
            await publish(batch)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


async def _publish_steadily(
    publish: Publish, count: int, per_second: int, committed: dict[int, float]
) -> None:
    """Publish one event a transaction at this rate; note when each COMMIT was issued."""

    async def one(number: int) -> None:
        committed[number] = await publish([number])

    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        for place in range(count):
            await asyncio.sleep(began + place / per_second - asyncio.get_running_loop().time())
            tasks.create_task(one(WARM_UP + place))


def _pace(samples: list[Sample], count: int) -> Pace:
    begun = next(sample for sample in samples if sample.done >= FROM_SHARE * count)
    ended = next(sample for sample in samples if sample.done >= TO_SHARE * count)
    seconds = max(ended.moment - begun.moment, SAMPLE_SECONDS)
    return Pace((ended.done - begun.done) / seconds, (ended.busy_seconds - begun.busy_seconds) / seconds)
