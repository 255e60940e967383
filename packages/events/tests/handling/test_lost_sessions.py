"""What becomes of an owner's sessions that have ended."""

import warnings
from typing import Any

from packages.events.tests.handling.conftest import Stage
from sherpa.events.handling.ownership import Ownership


async def test_aborted_session_is_given_back_in_silence(stage: Stage) -> None:
    """A session that was cut off in a statement frees its place without a warning of its listener."""
    ownership = Ownership(stage.database, handler="counter", partition=0, lanes=2, longest_call_seconds=1)
    await ownership.take(lambda _: None)
    session: Any = ownership.lanes[0].connection
    session._protocol.abort()  # as asyncpg does where no answer comes in time

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await ownership.give_up()

    assert [] == warned
    assert 0 == stage.database.pool_stats().in_use
