"""A test that hangs fails, and the others run: in a pytest run of its own."""

from typing import Any

HANGING = """
    import asyncio
    import pytest

    async def test_before(database): pass

    @pytest.mark.timeout(1)
    async def test_deaf(database):
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    async def test_after(database): pass
"""


def test_hanging_test_fails_and_the_others_run(suite: Any) -> None:
    """Whatever it does with its cancellation: it is named, the rest is tested, no server stays behind."""
    suite.write(test_it=HANGING)

    code, output = suite.run("-n", "1", "-p", "no:randomly", "-rf", "--color=no")

    assert 1 == code, output
    assert "FAILED test_it.py::test_deaf" in output
    assert "1 failed, 2 passed" in output, output
    assert ([], []) == (suite.sessions(), suite.processes())
