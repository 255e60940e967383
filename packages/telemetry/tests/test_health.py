"""One question at a time, each in its time, and no answer but a finding."""

import asyncio

from sherpa.telemetry.health import Answer, Check


async def test_answer_becomes_a_finding() -> None:
    """What the dependency said, with the time it took."""

    async def ask() -> Answer:
        return Answer("behind", pending=2)

    finding = await Check("schema", ask, seconds=1).run()

    assert ("behind", 2) == (finding.status, finding.pending)
    assert finding.latency_ms >= 0


async def test_failure_is_down() -> None:
    """Whatever goes wrong, the dependency is down, and nobody is raised at."""

    async def ask() -> Answer:
        raise LookupError("postgresql://user:hunter2@host")

    finding = await Check("postgresql", ask, seconds=1).run()

    assert "down" == finding.status


async def test_late_answer_is_down() -> None:
    """A question has its time; then it is cancelled."""
    cancelled = asyncio.Event()

    async def ask() -> Answer:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Answer("up")

    finding = await Check("redis", ask, seconds=0.01).run()
    await asyncio.sleep(0)

    assert "down" == finding.status
    assert cancelled.is_set()


async def test_many_askers_share_one_question() -> None:
    """A flood of probes is one question."""
    asked = 0

    async def ask() -> Answer:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        return Answer("up")

    check = Check("redis", ask, seconds=1)
    findings = await asyncio.gather(*(check.run() for _ in range(100)))

    assert {"up"} == {finding.status for finding in findings}
    assert 1 == asked


async def test_next_asker_gets_a_fresh_answer() -> None:
    """Nothing is remembered once it is answered."""
    answers = iter(["up", "down", "up"])

    async def ask() -> Answer:
        return Answer(next(answers))

    check = Check("redis", ask, seconds=1)
    statuses = [(await check.run()).status for _ in range(3)]

    assert ["up", "down", "up"] == statuses


async def test_question_that_hangs_in_its_end_is_not_asked_again() -> None:
    """While one clean-up hangs, the dependency is down and no second question piles up behind it."""
    asked = 0
    let_go = asyncio.Event()

    async def ask() -> Answer:
        nonlocal asked
        asked += 1
        try:
            await asyncio.sleep(60)
        finally:
            await let_go.wait()
        return Answer("up")

    check = Check("postgresql", ask, seconds=0.01)
    statuses = [(await check.run()).status for _ in range(3)]
    asked_while_hanging = asked
    let_go.set()
    await check.close()

    assert ["down", "down", "down"] == statuses
    assert 1 == asked_while_hanging


async def test_asker_that_leaves_does_not_end_the_question() -> None:
    """A probe whose client has gone takes nothing from those that share its question."""

    async def ask() -> Answer:
        await asyncio.sleep(0.02)
        return Answer("up")

    check = Check("redis", ask, seconds=1)
    leaver = asyncio.create_task(check.run())
    stayer = asyncio.create_task(check.run())
    await asyncio.sleep(0.005)
    leaver.cancel()

    assert "up" == (await stayer).status


async def test_close_ends_an_open_question() -> None:
    """Nothing is under way after `close`."""

    async def ask() -> Answer:
        await asyncio.sleep(60)
        return Answer("up")

    check = Check("redis", ask, seconds=60)
    asking = asyncio.create_task(check.run())
    await asyncio.sleep(0.001)
    await check.close()

    assert "down" == (await asking).status
