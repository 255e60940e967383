"""Stories of what no server's return heals: events that are evil, and a disk that is full."""

import asyncio

import pytest
from rig import faults
from rig.ledger import Verdict
from rig.stand import OpenStand

DEAD = "SELECT count(*) FROM failed_events WHERE handler_name = 'chaos.each' AND status = 'dead'"
DONE = "SELECT count(*) FROM chaos_effects WHERE handler = 'chaos.each'"
EVIL = (["", "raise", ""], ["", "hang", ""], ["", "kill", ""])
GOOD = ["", "", ""]
MIB = 1024 * 1024


@pytest.mark.parametrize(("on_failure", "done"), [("block", 6), ("skip", 9)])
async def test_evil_events_hurt_nobody_else(open_stand: OpenStand, on_failure: str, done: int) -> None:
    """Who raises, hangs or kills its process is dead-lettered; its followers do as declared, others go on."""
    async with open_stand(CHAOS_ON_FAILURE=on_failure) as stand:
        stand.crew.hire(2)

        await stand.commit(*EVIL, GOOD)
        await stand.await_row(DEAD, expected=len(EVIL))
        await stand.await_row(DONE, expected=done)
        await stand.operate("dead-letters", "discard", "--all", "--yes")
        await stand.await_row(DONE, expected=9)

        assert Verdict(missing=len(EVIL)) == await stand.finish(missing=len(EVIL))


async def test_full_disk_loses_nothing(open_stand: OpenStand) -> None:
    """When the outbox's file can't grow, commits fail; once there is room again, all goes on by itself."""
    async with open_stand(file_bytes=16 * MIB) as stand:
        await stand.begin(workers=2)
        await stand.fill_disk_for_all()
        await asyncio.sleep(faults.AWAY_SECONDS)

        await stand.empty_disk()
        await stand.recover("the disk was full", within_seconds=faults.RECOVERY_SECONDS)
        tally = await stand.stop_producing()

        assert tally.failed > 0
        assert Verdict() == await stand.finish()
