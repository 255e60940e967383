"""A program for the tests of the worker's end: the product with one handler that takes its time."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

from sherpa.config import load
from sherpa.db.transaction import Transaction
from sherpa.events.event import Payload, Received
from sherpa.events.handling.handler import Handler
from sherpa.telemetry.logging import configure, get_logger
from sherpa.worker.process import run
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.wiring import make_plan

log = get_logger("working")


class Happened(Payload, frozen=True, kw_only=True):
    """Something."""

    event_type = "thing.happened"
    aggregate_type = "thing"


async def work(transaction: Transaction, event: Received[Happened]) -> None:
    """Write a row, take so many seconds, and log both ends."""
    await transaction.connection.execute("INSERT INTO effects (event_id) VALUES ($1)", event.id)
    log.info("working")
    await asyncio.sleep(float(os.environ["WORK_SECONDS"]))
    log.info("worked")


def main() -> int:
    """Run the worker with this handler."""
    settings = load(ProcessSettings)
    configure(settings.logging, service="sherpa-worker")
    handlers: list[Any] = [Handler(name="slow", takes=(Happened,), handle=work)]
    return run(settings, make_plan(settings, handlers), AsyncExitStack())


if __name__ == "__main__":
    sys.exit(main())
