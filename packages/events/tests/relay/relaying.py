"""A process that runs a relay on the servers that the environment names, for tests that kill and pause it."""

import asyncio
import signal
from dataclasses import dataclass

from sherpa.config import DatabaseSettings, EventsSettings, RedisSettings, load
from sherpa.events.brokers.connect import connect
from sherpa.events.relay.relay import Relay


@dataclass(frozen=True)
class Settings:
    """What the process needs."""

    database: DatabaseSettings
    redis: RedisSettings
    events: EventsSettings


async def main() -> None:
    """Relay until SIGTERM."""
    settings = load(Settings, dotenv=None)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    broker = connect(settings.redis)
    try:
        await Relay(settings.database, broker, settings=settings.events).run(stop)
    finally:
        await broker.close()


if __name__ == "__main__":
    asyncio.run(main())
