"""Tests that hang fail, and their fixtures clean up: in a pytest run of its own, where no alarm waits."""

import re
from typing import Any

import pytest

# `ring` brings forward the alarm that pytest-timeout has set.
HANGING = """
    import asyncio, pathlib, signal, subprocess, sys
    from contextlib import suppress
    import pytest

    def ring():
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    @pytest.fixture(autouse=True)
    def child(database_settings, request):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        yield child
        child.kill()
        child.wait()
        pathlib.Path(f"{request.node.name}.cleaned").touch()

    def test_passes(): pass

    def test_function(child):
        ring()
        child.wait()

    async def test_coroutine():
        ring()
        await asyncio.Event().wait()  # here

    async def test_busy_loop():
        async def spin():
            while True:
                await asyncio.sleep(0)

        spinning = [asyncio.create_task(spin()) for _ in range(10)]
        ring()
        await asyncio.wait(spinning)

    async def test_deaf():
        ring()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.Event().wait()

    async def test_mistaken():
        ring()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    @pytest.fixture
    async def stuck_before():
        ring()
        await asyncio.Event().wait()

    async def test_setup(stuck_before): pass

    @pytest.fixture
    async def stuck_after():
        yield
        ring()
        await asyncio.Event().wait()

    async def test_teardown(stuck_after): assert False
"""
TESTS = ["function", "coroutine", "busy_loop", "deaf", "mistaken", "setup", "teardown"]
TOLD = r"^(?:FAILED|ERROR) test_it.py::test_(\w+) - Failed: Timeout \(>60.0s\)"


@pytest.mark.parametrize("workers", ["0", "2"])
def test_hanging_tests_fail_and_clean_up(workers: str, suite: Any) -> None:
    """Whatever hangs, the run goes on and ends with a failure that says so, and nothing stays behind."""
    suite.write(test_it=HANGING)

    code, output = suite.run("--timeout=60", "-n", workers, "--keep-databases=0", "-rfE", "--color=no")

    told = set(re.findall(TOLD, output, re.MULTILINE))
    cleaned = {file.stem.removeprefix("test_") for file in suite.folder.glob("*.cleaned")}
    assert (1, set(TESTS)) == (code, told), output
    assert {*TESTS, "passes"} == cleaned, output
    assert "6 failed, 1 passed, 2 errors" in output, output
    assert (True, [], []) == (
        "await asyncio.Event().wait()  # here" in output,
        suite.sessions(),
        suite.processes(),
    )
