"""Waiting for a condition: until it holds, and with a failure that says what was waited for."""

import asyncio
from itertools import count

import pytest

from sherpa.devstack.harness.waiting import eventually


async def test_waits_for_what_is_true() -> None:
    """Without a wanted answer any true one will do, and it isn't asked again."""
    numbers = count()

    await eventually(lambda: next(numbers) == 2)

    assert 3 == next(numbers)


async def test_waits_for_an_awaited_answer() -> None:
    """What is asked may be asynchronous, and the wanted answer false in itself."""
    numbers = iter([2, 1, 0])

    async def ask() -> int:
        return next(numbers)

    await eventually(ask, 0)

    assert [] == list(numbers)


async def test_failure_tells_what_was_waited_for() -> None:
    """The line that waits, how long it did, and the last answer."""
    with pytest.raises(pytest.fail.Exception) as failure:
        await eventually(lambda: [1, 2], [1, 2, 3], within_seconds=0.01)

    assert (
        "Waited 0.01 s in vain: await eventually(lambda: [1, 2], [1, 2, 3], within_seconds=0.01)\n"
        "The last answer: [1, 2]" == str(failure.value)
    )


async def test_hanging_question_is_given_up() -> None:
    """A question that is never answered is waited for no longer than a wrong answer."""
    with pytest.raises(pytest.fail.Exception, match="The last answer: None"):
        await eventually(asyncio.Event().wait, within_seconds=0.01)


async def test_errors_are_raised() -> None:
    """What goes wrong while asking is no answer, nor is a timeout of the question's own."""

    async def ask() -> None:
        raise TimeoutError("my own")

    with pytest.raises(TimeoutError, match="my own"):
        await eventually(ask)
