"""A relay that may read the outbox and not mark it: it publishes nothing, since it would never end."""

import asyncpg

from packages.events.tests.relay.conftest import MakeRelay, Stream, Writer, catch_up
from sherpa.events.relay.outcome import Outcome


async def test_relay_that_cannot_mark_does_not_publish(
    make_relay: MakeRelay, writer: Writer, stream: Stream, connection: asyncpg.Connection
) -> None:
    """A relay whose session can't write appends nothing, and leaves the lead to one that can."""
    await writer.publish(1, 2)
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
    unable, able = make_relay(), make_relay()

    outcomes = [await unable.step() for _ in range(3)]
    published = await stream.numbers()
    await connection.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
    await catch_up(able)

    assert [Outcome.DATABASE_AWAY] * 3 == outcomes
    assert [] == published
    assert [1, 2] == await stream.numbers()
