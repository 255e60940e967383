"""The fields that every line within a piece of work carries."""

import asyncio
import logging
from typing import Any

from sherpa.telemetry import context
from sherpa.telemetry.logging import get_logger

log = get_logger("sherpa.some")


def test_bound_fields_are_in_every_line(json_lines: Any) -> None:
    """Lines inside the block carry the fields, foreign ones too; lines after it don't."""
    with context.bound(request_id="r1"):
        log.info("ours")
        logging.getLogger("asyncpg").info("foreign")
    log.info("after")

    assert ["r1", "r1", None] == [event.get("request_id") for event in json_lines.events]


def test_blocks_nest(json_lines: Any) -> None:
    """An inner block adds its fields to those around it and takes only them away."""
    with context.bound(request_id="r1"):
        with context.bound(step="inner"):
            log.info("both")
        log.info("one")

    both, one = json_lines.events
    assert ("r1", "inner") == (both["request_id"], both["step"])
    assert "step" not in one


async def test_tasks_inherit_and_do_not_mix(json_lines: Any) -> None:
    """A task carries the fields of the work that started it, whatever its neighbours do meanwhile."""

    async def work() -> None:
        await asyncio.sleep(0)
        log.info("in a task")

    async def request(request_id: str) -> None:
        with context.bound(request_id=request_id):
            await asyncio.create_task(work())

    await asyncio.gather(request("r1"), request("r2"))

    assert ["r1", "r2"] == sorted(
        str(event["request_id"]) for event in json_lines.events if event["event"] == "in a task"
    )


def test_a_field_given_wins_over_the_context(json_lines: Any) -> None:
    """What the call says itself is the more precise."""
    with context.bound(step="outer"):
        log.info("said", step="own")

    assert "own" == json_lines.event["step"]


def test_enter_and_leave_restore(json_lines: Any) -> None:
    """The cheap pair for every request puts back what was there."""
    token = context.enter({"request_id": "r1"})
    log.info("inside")
    context.leave(token)
    log.info("outside")

    assert ["r1", None] == [event.get("request_id") for event in json_lines.events]
