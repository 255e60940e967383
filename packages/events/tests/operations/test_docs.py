"""docs/events.md tells the truth: its fields, metrics, consumer and Python are the real ones."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from packages.events.tests.operations.conftest import Write
from sherpa.config import RedisSettings
from sherpa.db.engine import Database
from sherpa.events.brokers.broker import Broker
from sherpa.events.entry import COLUMNS, FIELDS, fields_of
from sherpa.events.handling.checks import check_handlers
from sherpa.events.handling.errors import PermanentError
from sherpa.events.metrics import Metrics

PAGE = (Path(__file__).parents[4] / "docs" / "events.md").read_text()
PLACEHOLDER = "1763899200000-0"


def block(language: str, number: int = 0) -> str:
    """Return the first block of a language, or a later one."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found[number]


def column(heading: str) -> list[str]:
    """Return the names in the first column of the first table after a heading."""
    _, _, after = PAGE.partition(heading)
    table = re.search(r"^\|---.*\n((?:\|.*\n)+)", after, re.MULTILINE)
    assert table
    return re.findall(r"^\| `([^`]+)` \|", table[1], re.MULTILINE)


def test_fields_are_the_entrys() -> None:
    """The contract's table has every field of an entry, in its order, and no other one."""
    assert list(FIELDS) == column("**Entries**")


def test_metrics_are_those_that_are_shown() -> None:
    """Every instrument has its line on what it means, and every line an instrument."""
    shown = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Metrics().registry.collect()
    }

    assert shown == set(column("## Metrics"))


def ask(settings: RedisSettings, words: list[str]) -> str:
    """Run a redis-cli command on the test's Redis by the project's own redis-cli; return what it prints."""
    url = settings.url
    command = [sys.executable, "-m", "sherpa.devstack.rediscli", "-h", url.host, "-p", str(url.port)]
    done = subprocess.run(
        [*command, "-n", url.database, "--user", url.username or "default", *words],
        env=os.environ | {"REDISCLI_AUTH": url.password.reveal() if url.password else ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


async def test_consumer_in_redis_cli_works(
    write: Write, connection: asyncpg.Connection, broker: Broker, redis_settings: RedisSettings
) -> None:
    """The page's consumer, line by line: it gets an event of the outbox, acknowledges it, and goes."""
    (event,) = await write(published=False)
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM outbox")
    assert row
    await broker.append(0, await broker.take(0, "relay"), [fields_of(row)])
    lines = [shlex.split(line)[1:] for line in block("sh").splitlines()]
    answers: list[str] = []

    for words in lines:
        entry = re.search(r"\d{10,}-\d+", "".join(answers[1:2]))
        known = [entry[0] if entry and word == PLACEHOLDER else word for word in words]
        answers.append(await asyncio.to_thread(ask, redis_settings, known))

    made, read, acknowledged, claimed, groups, destroyed = answers
    assert ("OK", "(integer) 1", "(integer) 1") == (made.strip(), acknowledged.strip(), destroyed.strip())
    assert all(
        text in read for text in (str(event), "membership.created", '{"tier": "annual"}', "occurred_at")
    )
    assert str(event) not in claimed
    assert "reporting" in groups


async def test_python_runs(database: Database, connection: asyncpg.Connection) -> None:
    """The page's payload is published as it stands there, and its handler is one that a worker takes."""
    names: dict[str, Any] = {"database": database}
    exec(compile(block("python"), "events.md", "exec"), names)
    aggregate = uuid4()

    await names["pause"](aggregate)
    check_handlers([names["COUNT_PAUSES"]])

    row = await connection.fetchrow("SELECT aggregate_id, event_type FROM outbox")
    assert (aggregate, "membership.paused") == tuple(row or ())


async def test_refusing_handler_runs(database: Database) -> None:
    """The page's handler has its effect, and refuses for ever what it says that it refuses."""
    names: dict[str, Any] = {"database": database}
    exec(compile(block("python"), "events.md", "exec"), names)
    exec(compile(block("python", 1), "events.md", "exec"), names)

    async def credit(reason: str) -> None:
        payload = names["MembershipPaused"](reason=reason)
        event = names["Received"](aggregate_id=uuid4(), payload=payload, occurred_at=datetime.now(UTC))
        async with database.transaction() as transaction:
            await names["credit_pause"](transaction, event)

    await credit("holiday")
    with pytest.raises(PermanentError, match="there is no credit for 'boredom'"):
        await credit("boredom")
