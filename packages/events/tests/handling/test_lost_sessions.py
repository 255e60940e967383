"""What becomes of an owner's sessions that PostgreSQL has ended."""
# ruff: noqa: ASYNC110 - a server tells nobody that a session has ended

import asyncio
import warnings

from packages.events.tests.handling.conftest import Stage
from sherpa.events.handling.ownership import Ownership

END = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_ended_sessions_are_given_back_in_silence(stage: Stage) -> None:
    """The pool has the places of ended sessions again, and nobody is warned of what listened there."""
    ownership = Ownership(stage.database, handler="counter", partition=0, lanes=2, longest_call_seconds=1)
    await ownership.take(lambda _: None)
    await stage.connection.fetch(END)
    async with asyncio.timeout(10):
        while ownership.is_held:
            await asyncio.sleep(0.01)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await ownership.give_up()

    assert [] == warned
    assert 0 == stage.database.pool_stats().in_use
