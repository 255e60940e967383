"""Dead letters as operators meet them: listed, shown, run again, given up, beside handlers that run."""

import asyncio
import json
import os
import pty
from uuid import UUID, uuid4

import asyncpg
import pytest

from packages.events.tests.operations.conftest import Fail, Run, Start
from sherpa.events.handling.names import CHANNEL
from sherpa.events.operations import deadletters
from sherpa.events.operations.deadletters import CHUNK, Which


async def statuses(connection: asyncpg.Connection) -> dict[str, int]:
    """Count the failed events by status."""
    rows = await connection.fetch("SELECT status, count(*) FROM failed_events GROUP BY status")
    return {row["status"]: row["count"] for row in rows}


async def test_empty_list_says_so(run: Run) -> None:
    """Without dead letters there is a line that says so, and it ends well."""
    code, out, err = await run("dead-letters", "list")

    assert (0, "") == (code, err)
    assert out.startswith("0 dead letters in ")


async def test_list_names_each(run: Run, fail: Fail) -> None:
    """A line names event, handler, type, attempts, how many wait behind it, and the error's first line."""
    aggregate = uuid4()
    event = await fail(aggregate_id=aggregate, error="ValueError: no\nsecond line")
    await fail(aggregate_id=aggregate, status="waiting")

    code, out, _ = await run("dead-letters", "list")

    line = next(line for line in out.splitlines() if str(event) in line)
    assert 0 == code
    assert [str(event), "welcome", "membership.created", "8", "1"] == line.split()[:5]
    assert line.endswith("ValueError: no")


async def test_list_is_limited_and_counts_all(run: Run, fail: Fail) -> None:
    """`--limit` shows the newest; the total is of all, and `--handler` narrows both."""
    await fail("welcome")
    await fail("welcome")
    newest = await fail("billing")

    _, out, _ = await run("dead-letters", "list", "--limit", "1", "--json")
    _, narrowed, _ = await run("dead-letters", "list", "--handler", "welcome", "--json")

    shown = json.loads(out)
    assert (3, [str(newest)]) == (shown["total"], [each["event_id"] for each in shown["dead_letters"]])
    assert 2 == json.loads(narrowed)["total"]


async def test_show_tells_everything(run: Run, fail: Fail) -> None:
    """`show` has the payload, the error and the traceback; as JSON, too."""
    event = await fail()

    code, out, _ = await run("dead-letters", "show", str(event))
    _, document, _ = await run("dead-letters", "show", str(event), "--json")

    assert 0 == code
    assert all(fact in out for fact in ('"tier": "annual"', "ValueError: no", "Traceback: here"))
    assert ["Traceback: here"] == [each["traceback"] for each in json.loads(document)]


@pytest.mark.parametrize("entry", ["{}", '{"payload": "no JSON"}', '{"id": "7", "what": "else"}'])
async def test_unreadable_entry_is_shown(entry: str, run: Run, connection: asyncpg.Connection) -> None:
    """An entry that could not be read is listed and shown as it came, with whatever it lacks left out."""
    await connection.execute(
        "INSERT INTO failed_events (event_id, handler_name, entry, status, error)"
        " VALUES ($1, 'welcome', $2, 'dead', 'its field is missing')",
        UUID(int=1),
        entry,
    )

    (listing, listed, _), (code, shown, _) = (
        await run("dead-letters", "list"),
        await run("dead-letters", "show", str(UUID(int=1))),
    )

    assert (0, 0) == (listing, code)
    assert "its field is missing" in listed
    assert all(text in shown for text in json.loads(entry).values())


async def test_show_disarms_control_characters(run: Run, fail: Fail) -> None:
    """What others wrote can't steer the reader's terminal."""
    event = await fail(error="\x1b]0;owned\x07bad")

    _, shown, _ = await run("dead-letters", "show", str(event))
    _, listed, _ = await run("dead-letters", "list")

    assert "\x1b" not in shown + listed
    assert "\\x1b]0;owned" in shown


@pytest.mark.parametrize("command", ["show", "retry", "discard"])
async def test_unknown_id_is_refused(command: str, run: Run) -> None:
    """An id that no failed event has is a failure that says what to do."""
    options = [] if command == "show" else ["--yes"]

    code, out, err = await run("dead-letters", command, str(uuid4()), *options)

    assert (1, "") == (code, out)
    assert "`dead-letters list`" in err


async def test_retry_gives_all_attempts_back(run: Run, fail: Fail, connection: asyncpg.Connection) -> None:
    """A dead letter that is retried is due at once, with its attempts counted anew; others stay."""
    event = await fail()
    await fail()

    code, out, _ = await run("dead-letters", "retry", str(event), "--yes")

    row = await connection.fetchrow(
        "SELECT status, attempts, next_attempt_at <= now() AS due FROM failed_events WHERE event_id = $1",
        event,
    )
    assert (0, ("retrying", 0, True)) == (code, tuple(row or ()))
    assert out.startswith("1 dead letter to be run again in ")
    assert {"retrying": 1, "dead": 1} == await statuses(connection)


async def test_discard_counts_as_handled(run: Run, fail: Fail, connection: asyncpg.Connection) -> None:
    """A discarded event is in processed_events, so that no replay runs it, and is no failed one any more."""
    event = await fail()

    await run("dead-letters", "discard", str(event), "--yes")

    handled = await connection.fetch("SELECT event_id, handler_name FROM processed_events")
    assert [(event, "welcome")] == [tuple(row) for row in handled]
    assert {} == await statuses(connection)


async def test_one_handlers_are_decided(run: Run, fail: Fail, connection: asyncpg.Connection) -> None:
    """`--handler` decides on that handler's alone, and on none that isn't dead."""
    await fail("welcome")
    await fail("welcome", status="retrying")
    await fail("billing")

    _, out, _ = await run("dead-letters", "discard", "--handler", "welcome", "--yes")

    assert out.startswith("1 dead letter discarded in ")
    assert {"retrying": 1, "dead": 1} == await statuses(connection)


@pytest.mark.parametrize(("status", "fact"), [("retrying", "by itself"), ("waiting", "the one before it")])
async def test_living_event_is_left_to_its_handler(status: str, fact: str, run: Run, fail: Fail) -> None:
    """One that still runs by itself is no dead letter: no operator takes it from its handler."""
    event = await fail(status=status)

    code, _, err = await run("dead-letters", "discard", str(event), "--yes")

    assert 1 == code
    assert fact in err


@pytest.mark.parametrize("arguments", [[], ["--all", "--handler", "welcome"], ["--all"]], ids=" ".join)
async def test_decision_wants_words(arguments: list[str], run: Run, fail: Fail) -> None:
    """Which ones must be said, once, and without a terminal the yes, too: else wrong use."""
    await fail()

    code, out, err = await run("dead-letters", "retry", *arguments)

    assert (2, "") == (code, out)
    assert "dead-letters retry" in err or "--all" in err


@pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", 0, {}), (b"\n", 1, {"dead": 1})])
async def test_discard_asks_at_a_terminal(
    answer: bytes, code: int, left: dict[str, int], start: Start, fail: Fail, connection: asyncpg.Connection
) -> None:
    """At a terminal the question names how many and where, and only a yes discards."""
    await fail()
    ours, theirs = pty.openpty()

    asked = start("dead-letters", "discard", "--all", stdin=theirs)
    os.write(ours, answer)
    out, _ = await asyncio.to_thread(asked.communicate)
    os.close(ours)
    os.close(theirs)

    assert code == asked.returncode
    assert "Give up 1 dead letter in " in out
    assert left == await statuses(connection)


async def test_handlers_are_told(connection: asyncpg.Connection, fail: Fail) -> None:
    """Each handler that a decision concerns is named on the channel, when the decision is committed."""
    await fail("welcome")
    told: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener(CHANNEL, lambda *news: told.put_nowait(news[3]))

    decided = [count async for count in deadletters.retry(connection, Which())]

    assert [1] == decided
    assert "welcome" == await asyncio.wait_for(told.get(), 10)
    await connection.remove_listener(CHANNEL, lambda *_: None)


async def test_many_are_decided_in_chunks(connection: asyncpg.Connection) -> None:
    """More than a chunk goes by several transactions, and each is decided on once."""
    await connection.execute(
        "INSERT INTO failed_events (event_id, handler_name, entry, status)"
        " SELECT gen_random_uuid(), 'h' || n % 3, '{}', 'dead' FROM generate_series(1, $1) AS n",
        CHUNK + 1,
    )

    decided = [count async for count in deadletters.discard(connection, Which())]

    assert [CHUNK, 1] == decided
    assert CHUNK + 1 == await connection.fetchval("SELECT count(*) FROM processed_events")


async def test_two_operators_share_the_work(
    connection: asyncpg.Connection, fail: Fail, database_settings: object, run: Run
) -> None:
    """What another session has in hand is left to it: nobody waits, nothing is decided twice."""
    mine, theirs = await fail(), await fail()

    async with connection.transaction():
        await connection.execute("SELECT FROM failed_events WHERE event_id = $1 FOR UPDATE", theirs)
        code, out, _ = await run("dead-letters", "discard", "--all", "--yes")

    assert 0 == code
    assert out.startswith("1 dead letter discarded in ")
    assert theirs == await connection.fetchval("SELECT event_id FROM failed_events")
    assert mine == await connection.fetchval("SELECT event_id FROM processed_events")
