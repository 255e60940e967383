"""A worker as a process of its own: the product's own, with handlers that write down what they did.

    python -m rig.working     (set by the product's own variables)

An event may order an evil deed: then its handler raises, hangs, or takes the whole process down.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from sherpa.telemetry import footing

if __name__ == "__main__":  # before the imports below, which take half a second
    footing.stand()

from rig.events import Counted
from sherpa.config import load
from sherpa.db.transaction import Transaction
from sherpa.events.event import Received
from sherpa.events.handling.handler import Backoff, Handler, Kind, OnFailure
from sherpa.telemetry.logging import configure
from sherpa.worker.process import run
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.wiring import make_plan

EFFECT = """
    INSERT INTO chaos_effects (handler, event_id, aggregate_id, number) VALUES ($1, $2, $3, $4)
"""
EFFECTS = """
    INSERT INTO chaos_effects (handler, event_id, aggregate_id, number)
    SELECT $1, event_id, aggregate_id, number
    FROM unnest($2::uuid[], $3::uuid[], $4::bigint[])
        WITH ORDINALITY AS e (event_id, aggregate_id, number, place)
    ORDER BY place
"""


class EvilError(Exception):
    """The event wanted its handler to fail."""


async def do_deed(deed: str) -> None:
    """Do what the event wants."""
    match deed:
        case "raise":
            raise EvilError("the event wanted it so")
        case "hang":
            await asyncio.sleep(3600)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


async def write_each(transaction: Transaction, event: Received[Counted]) -> None:
    """Write the effect down, then do the deed: a failure must take the effect back."""
    await transaction.connection.execute(
        EFFECT, "chaos.each", event.id, event.aggregate_id, event.payload.number
    )
    await do_deed(event.payload.deed)


async def write_batch(transaction: Transaction, event: Received[Counted]) -> None:
    """Write the effect down."""
    await transaction.connection.execute(
        EFFECT, "chaos.batch", event.id, event.aggregate_id, event.payload.number
    )


async def write_set(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
    """Write all effects down with one statement."""
    await transaction.connection.execute(
        EFFECTS,
        "chaos.set",
        [event.id for event in events],
        [event.aggregate_id for event in events],
        [event.payload.number for event in events],
    )


BACKOFF = Backoff(first_seconds=0.1, most_seconds=0.5)
HANDLERS = (
    Handler(
        name="chaos.each",
        takes=(Counted,),
        handle=write_each,
        on_failure=OnFailure(os.environ.get("CHAOS_ON_FAILURE", "block")),
        attempts=3,
        backoff=BACKOFF,
        timeout_seconds=1.0,
    ),
    Handler(
        name="chaos.batch",
        takes=(Counted,),
        handle=write_batch,
        kind=Kind.BATCH,
        # Nothing shows before the whole batch is committed, and with 60 ms for a statement 100 take 6 s.
        batch_size=20,
        backoff=BACKOFF,
    ),
    Handler(name="chaos.set", takes=(Counted,), handle=write_set, kind=Kind.SET, backoff=BACKOFF),
)


def main() -> int:
    """Work until told to stop."""
    settings = load(ProcessSettings, dotenv=None)
    configure(settings.logging, service="sherpa-worker")
    return run(settings, make_plan(settings, HANDLERS), AsyncExitStack())


if __name__ == "__main__":
    sys.exit(main())
