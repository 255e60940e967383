"""The faults: each is done to a stand, and healed; when it returns, whatever was away is back and answers."""

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg

from rig.servers import Victim
from rig.stand import Stand

AWAY_SECONDS = 0.8
# Longer than a client waits for an answer, than a session may be silent, and than a socket times out.
SILENT_SECONDS = 6.0
RECOVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Fault:
    """What is done, and how soon after it every handler must have a new effect."""

    name: str
    inflict: Callable[[Stand], Awaitable[None]]
    within_seconds: float = RECOVERY_SECONDS


async def suffer(stand: Stand, faults: Sequence[Fault], *, calm_seconds: float = 0.2) -> None:
    """Inflict the faults one after the other, and demand recovery from each."""
    for fault in faults:
        await fault.inflict(stand)
        await stand.recover(fault.name, within_seconds=fault.within_seconds)
        await asyncio.sleep(calm_seconds)


async def restart_postgres(stand: Stand) -> None:
    """Stop PostgreSQL (fast) and start it again."""
    await _bounce(stand.servers.postgres, stand.servers.postgres.stop())


async def crash_postgres(stand: Stand) -> None:
    """Stop PostgreSQL in immediate mode: no session hears of it."""
    await _bounce(stand.servers.postgres, stand.servers.postgres.end(signal.SIGQUIT))


async def kill_postgres(stand: Stand) -> None:
    """Kill PostgreSQL's main process with -9."""
    await _bounce(stand.servers.postgres, stand.servers.postgres.end(signal.SIGKILL))


async def pause_postgres(stand: Stand) -> None:
    """Stop the clock of all of PostgreSQL."""
    async with _paused(stand.servers.postgres):
        await asyncio.sleep(SILENT_SECONDS)


async def end_sessions(stand: Stand) -> None:
    """End all sessions of the workers, again and again (pg_terminate_backend)."""
    for _ in range(5):
        await stand.ledger.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name LIKE 'sherpa%'"
        )
        await asyncio.sleep(random.uniform(0.05, 0.5))


async def lock_outbox(stand: Stand) -> None:
    """Change the outbox's table in a transaction that takes its time, as a careless migration does."""
    connection = await asyncpg.connect(stand.ledger.url.reveal())
    try:
        async with connection.transaction():
            await connection.execute("ALTER TABLE outbox ADD COLUMN careless integer")
            await asyncio.sleep(AWAY_SECONDS)
        async with connection.transaction():
            await connection.execute("ALTER TABLE outbox DROP COLUMN careless")
    finally:
        await connection.close()


async def restart_valkey(stand: Stand) -> None:
    """Stop Valkey and start it again."""
    await _bounce(stand.servers.valkey, stand.servers.valkey.stop())


async def kill_valkey(stand: Stand) -> None:
    """Kill Valkey with -9, and leave it away until everybody's pauses have grown to their longest."""
    await stand.servers.valkey.end(signal.SIGKILL)
    await asyncio.sleep(SILENT_SECONDS)
    await stand.servers.valkey.start()


async def pause_valkey(stand: Stand) -> None:
    """Stop Valkey's clock."""
    async with _paused(stand.servers.valkey):
        await asyncio.sleep(SILENT_SECONDS)


async def fill_valkey(stand: Stand) -> None:
    """Leave Valkey no memory for another entry, then give it back."""
    before = await stand.redis("CONFIG", "GET", "maxmemory")
    await stand.redis("CONFIG", "SET", "maxmemory", "1mb")
    await asyncio.sleep(2 * AWAY_SECONDS)
    await stand.redis("CONFIG", "SET", "maxmemory", str(before[1].decode()))


async def flush_valkey(stand: Stand) -> None:
    """Delete all of Valkey's data: streams, groups, roles. Nobody replays anything."""
    await stand.redis("FLUSHALL")


async def cut_connections(stand: Stand) -> None:
    """Reset all of the workers' connections, again and again (where they go through proxies)."""
    for _ in range(5):
        stand.to_postgres.cut()
        stand.to_valkey.cut()
        await asyncio.sleep(random.uniform(0.05, 0.5))


async def refuse_connections(stand: Stand) -> None:
    """Turn away the workers for a while: the servers run, the network doesn't."""
    for proxy in (stand.to_postgres, stand.to_valkey):
        proxy.refuse()
    await asyncio.sleep(AWAY_SECONDS)
    for proxy in (stand.to_postgres, stand.to_valkey):
        proxy.accept()


async def stall_valkey(stand: Stand) -> None:
    """Hold back the bytes between workers and Valkey: what was asked arrives, when nobody waits any more."""
    stand.to_valkey.stall()
    await asyncio.sleep(SILENT_SECONDS)
    stand.to_valkey.flow()


async def stall_postgres(stand: Stand) -> None:
    """Hold back the bytes between workers and PostgreSQL: COMMITs arrive after their senders gave up."""
    stand.to_postgres.stall()
    await asyncio.sleep(SILENT_SECONDS)
    stand.to_postgres.flow()


async def slow_connections(stand: Stand) -> None:
    """Delay every piece of bytes by 30 ms each way."""
    for proxy in (stand.to_postgres, stand.to_valkey):
        proxy.delay_seconds = 0.03
    await stand.recover("slow connections, while they are slow", within_seconds=RECOVERY_SECONDS)
    for proxy in (stand.to_postgres, stand.to_valkey):
        proxy.delay_seconds = 0.0


async def kill_worker(stand: Stand) -> None:
    """Kill one worker with -9; another one is started, as an orchestrator does."""
    await stand.crew.replace(random.choice(stand.crew.members))


async def kill_all_workers(stand: Stand) -> None:
    """Kill every worker with -9 at the same time, and start as many."""
    await asyncio.gather(*(stand.crew.replace(member) for member in list(stand.crew.members)))


async def pause_worker(stand: Stand) -> None:
    """Stop a worker's clock until others have what was its own, then let it go on as if nothing were."""
    worker = random.choice(stand.crew.members)
    worker.pause()
    await stand.recover(
        "a worker that is paused, by the others", within_seconds=SILENT_SECONDS + RECOVERY_SECONDS
    )
    await asyncio.sleep(AWAY_SECONDS)
    worker.resume()


async def roll_workers(stand: Stand) -> None:
    """Replace all workers one by one, as a release does: start one, stop one with SIGTERM."""
    for member in list(stand.crew.members):
        stand.crew.hire()
        await stand.crew.members[-1].said("listening")
        code = await member.stop()
        stand.crew.members.remove(member)
        assert code == 0, member.tail()


# A worker that starts loads Python first.
START_SECONDS = 15.0
POSTGRES = (
    Fault("PostgreSQL restarted", restart_postgres),
    Fault("PostgreSQL stopped in immediate mode", crash_postgres),
    Fault("PostgreSQL killed", kill_postgres),
    Fault("PostgreSQL paused", pause_postgres),
    Fault("sessions terminated", end_sessions),
    Fault("outbox locked by a migration", lock_outbox),
)
VALKEY = (
    Fault("Valkey restarted", restart_valkey),
    Fault("Valkey killed, and long away", kill_valkey),
    Fault("Valkey paused", pause_valkey),
    Fault("Valkey full", fill_valkey),
    Fault("Valkey flushed", flush_valkey),
)
NETWORK = (
    Fault("connections cut", cut_connections),
    Fault("connections refused", refuse_connections),
    Fault("Valkey's connections stalled", stall_valkey),
    Fault("PostgreSQL's connections stalled", stall_postgres),
    Fault("connections slow", slow_connections),
)
WORKERS = (
    Fault("a worker killed", kill_worker, START_SECONDS),
    Fault("all workers killed", kill_all_workers, START_SECONDS),
    Fault("a worker paused and resumed", pause_worker),
    Fault("workers rolled", roll_workers, START_SECONDS),
)
ALL = (*POSTGRES, *VALKEY, *NETWORK, *WORKERS)


async def _bounce(victim: Victim, ending: Awaitable[None]) -> None:
    await ending
    await asyncio.sleep(AWAY_SECONDS)
    await victim.start()


@contextlib.asynccontextmanager
async def _paused(victim: Victim) -> AsyncIterator[None]:
    victim.pause()
    try:
        yield
    finally:
        victim.resume()
