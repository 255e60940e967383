"""The recipes of CONTRIBUTING.md for an event and a handler, and docs/membership.md, tell the truth."""

import ast
import re
import textwrap
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg

from packages.membership.tests.conftest import Join, Published, months
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.events.event import Event, Payload, Received
from sherpa.events.handling.checks import check_handlers
from sherpa.events.handling.handler import Handler
from sherpa.events.publishing import publish
from sherpa.membership.membership import lock

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "CONTRIBUTING.md"
BLOCKS = [
    textwrap.dedent(block)
    for recipe in re.findall(
        r"^### Add (?:an event|a handler)\n(.*?)(?=^### )", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    for block in re.findall(r"^ *```python\n(.*?)^ *```", recipe, re.MULTILINE | re.DOTALL)
]


def compiled(block: str) -> CodeType:
    """Compile a block that may await at its top level."""
    code: CodeType = compile(block, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


async def test_recipes_run(database: Database, connection: asyncpg.Connection, join: Join) -> None:
    """The event is declared and published, and the handler does its work with it."""
    member = await join()
    names: dict[str, Any] = {
        "ClassVar": ClassVar,
        "Event": Event,
        "Handler": Handler,
        "Payload": Payload,
        "Received": Received,
        "Transaction": Transaction,
        "database": database,
        "lock": lock,
        "membership_id": member.id,
        "publish": publish,
        "__name__": "recipes",
    }

    declare, change, handler = map(compiled, BLOCKS)
    exec(declare, names)
    await eval(change, names)
    exec(handler, names)

    check_handlers([names["NOTE_TIER"]])
    payload = names["TierChanged"](tier="annual")
    async with database.transaction() as transaction:
        await names["NOTE_TIER"].handle(
            transaction,
            Received(id=uuid4(), aggregate_id=member.id, payload=payload, occurred_at=member.created_at),
        )
    told = await connection.fetchval(
        "SELECT payload->>'tier' FROM outbox WHERE event_type = $1", payload.event_type
    )
    assert ("annual", "annual") == (
        told,
        await connection.fetchval("SELECT description FROM billing_history"),
    )


async def test_page_runs(database: Database, published: Published) -> None:
    """The page's operations tell the events that the page lists, with the fields that it lists."""
    page = (ROOT / "docs" / "membership.md").read_text()
    names: dict[str, Any] = {
        "database": database,
        "payment_id": uuid4(),
        "user_id": uuid4(),
        "start": months(0).start,
        "end": months(0).end,
    }

    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    await eval(compiled(block), names)

    for kind, payload in await published():
        (fields,) = re.findall(rf"^\| `{kind}`.*?\| (.*) \|$", page, re.MULTILINE)
        assert set(payload) == set(re.findall(r"`(\w+)`", fields))
