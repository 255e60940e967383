"""A process that handles the tests' events, and can be killed by one: run by test_processes.py.

Two handlers take the same events. Some numbers are deadly to the first one, in several ways.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from packages.events.tests.handling.conftest import ADD_EFFECT, COUNTER, Counted, record, record_set
from sherpa.config import DatabaseSettings, RedisSettings, load
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.events.brokers.connect import connect
from sherpa.events.event import Received
from sherpa.events.handling.consumer import Consumer
from sherpa.events.handling.handler import Handle, Handler, HandleSet, Kind
from sherpa.events.metrics import Metrics

EXITING, KILLED, SLOW = 13, 14, 15


@dataclass(frozen=True)
class Settings:
    """What the process needs."""

    database: DatabaseSettings
    redis: RedisSettings


async def die_of_some(transaction: Transaction, event: Received[Counted]) -> None:
    """Have the effect, or die before it is committed."""
    await record(transaction, event)
    match event.payload.number:
        case 13:
            os._exit(9)
        case 14:
            os.kill(os.getpid(), signal.SIGKILL)
        case 15:
            await asyncio.sleep(0.3)


async def die_of_a_set(transaction: Transaction, events: Sequence[Received[Counted]]) -> None:
    """Do the same for many events."""
    await record_set(transaction, events)
    if any(event.payload.number in {EXITING, KILLED} for event in events):
        os._exit(9)


async def record_beside(transaction: Transaction, event: Received[Counted]) -> None:
    """Have the effect of the second handler."""
    await transaction.connection.execute(
        ADD_EFFECT, event.id, event.aggregate_id, "beside", event.payload.number
    )


def handlers(kind: Kind) -> list[Handler]:
    """Return the deadly handler, of that kind, and the one beside it."""
    handle: Handle | HandleSet = die_of_a_set if kind is Kind.SET else die_of_some
    return [
        replace(COUNTER, kind=kind, handle=handle, concurrency=4),
        replace(COUNTER, name="beside", handle=record_beside),
    ]


async def main(kind: Kind) -> None:
    """Handle events until SIGTERM."""
    settings = load(Settings, dotenv=None)
    stop, alone, metrics = asyncio.Event(), asyncio.Lock(), Metrics()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    broker = connect(settings.redis)
    async with Database(settings.database, application_name="handlers") as database:
        await asyncio.gather(
            *(
                Consumer(
                    handler,
                    0,
                    partitions=1,
                    database=database,
                    broker=broker,
                    metrics=metrics,
                    alone=alone,
                ).run(stop)
                for handler in handlers(kind)
            )
        )
    await broker.close()


if __name__ == "__main__":
    asyncio.run(main(Kind(sys.argv[1])))
