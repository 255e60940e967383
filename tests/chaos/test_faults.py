"""Stories of servers and processes that go away in every way we know, while events go through.

Each ends with the same verdict: every handler has the effect of every committed event, once, in order.
"""

import asyncio
from collections.abc import Sequence

import pytest
from rig import faults
from rig.faults import Fault, suffer
from rig.ledger import Verdict
from rig.stand import OpenStand

STORIES = {
    "postgres": faults.POSTGRES[:3],
    "postgres stalls": faults.POSTGRES[3:],
    "valkey": faults.VALKEY[:2],
    "valkey stalls": faults.VALKEY[2:4],
    "valkey flushed": 3 * faults.VALKEY[4:],
    "network": faults.NETWORK[:2],
    "network stalls": faults.NETWORK[2:],
    "workers": faults.WORKERS[:2],
    "workers stall": faults.WORKERS[2:3],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_effects_equal_committed_events(open_stand: OpenStand, story: Sequence[Fault]) -> None:
    """Whatever is done to them, workers recover by themselves; no effect is missing, twice or too early."""
    async with open_stand(proxied=story in (faults.NETWORK[:2], faults.NETWORK[2:])) as stand:
        await stand.begin(workers=2)

        await suffer(stand, story)

        assert Verdict() == await stand.finish()


async def test_partitions_keep_order_while_workers_die(open_stand: OpenStand) -> None:
    """Three partitions on three workers, killed again and again: order holds within each aggregate."""
    async with open_stand(EVENTS_PARTITIONS="3") as stand:
        await stand.begin(workers=3)

        for _ in range(6):
            await faults.kill_worker(stand)
            await asyncio.sleep(0.5)
        await stand.recover("workers killed again and again", within_seconds=faults.START_SECONDS)

        assert Verdict() == await stand.finish()


async def test_producer_commits_while_redis_is_away(open_stand: OpenStand) -> None:
    """Without Redis every commit succeeds and waits in the outbox, which is drained when Redis is back."""
    async with open_stand() as stand:
        await stand.begin(workers=1)
        await stand.servers.valkey.stop()
        pending = await stand.pending()

        await asyncio.sleep(2.0)
        tally = await stand.stop_producing()

        assert (0, 0) == (tally.failed, tally.unknown)
        assert pending < await stand.pending()
        await stand.servers.valkey.start()
        await stand.recover("Redis away", within_seconds=faults.RECOVERY_SECONDS)
        assert Verdict() == await stand.finish()


async def test_releases_repeat_nothing(open_stand: OpenStand) -> None:
    """Workers told to stop (SIGTERM) mark what they appended before they go: nothing is published twice."""
    async with open_stand() as stand:
        await stand.begin(workers=2)

        await suffer(stand, [faults.WORKERS[-1]])
        verdict = await stand.finish()

        assert Verdict() == verdict
        assert [await stand.published()] == await stand.appended()


async def test_partitions_can_be_changed(open_stand: OpenStand) -> None:
    """Workers with another number of partitions wait until those of the old one have gone and drained."""
    async with open_stand(EVENTS_PARTITIONS="1") as stand:
        await stand.begin(workers=2)
        old = list(stand.crew.members)

        stand.crew.hire(2, EVENTS_PARTITIONS="3")
        await asyncio.sleep(2.0)
        for member in old:
            assert await member.stop() == 0
            stand.crew.members.remove(member)
        await stand.recover("another number of partitions", within_seconds=faults.START_SECONDS)

        assert Verdict() == await stand.finish()
        assert 3 == len(await stand.appended())
