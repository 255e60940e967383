"""The broker of one operator's command: its connections tell which command they serve, and end with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sherpa.config import RedisSettings
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect


@asynccontextmanager
async def open_broker(settings: RedisSettings, command: str) -> AsyncIterator[Broker]:
    """Lend the broker for the length of the block; to Redis it is `sherpa-events-COMMAND`."""
    broker = connect(settings, client_name=f"sherpa-events-{command}")
    try:
        yield broker
    finally:
        await broker.close()
