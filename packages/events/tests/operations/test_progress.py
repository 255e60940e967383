"""Whoever waits for a long command at a terminal sees how far it is."""

from datetime import timedelta

import pytest

from packages.events.tests.operations.conftest import Fail, Run, Write


@pytest.mark.parametrize("command", ["replay --since 1h", "prune", "dead-letters discard --all --yes"])
async def test_progress_is_drawn(
    command: str, run: Run, write: Write, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each long command draws a bar with its name, up to the end of what there is to do."""
    await write(age=timedelta(minutes=5))
    await write(age=timedelta(days=8))
    await fail()
    monkeypatch.setattr("sherpa.db.console.columns_of", lambda _: 200)

    code, out, _ = await run(*command.split())

    name = command.partition(" -")[0]
    assert 0 == code
    assert f"{name}  100 %  [####################]  1 of 1" in out
