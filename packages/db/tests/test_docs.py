"""docs/database.md tells the truth: its Python blocks run."""

import ast
import asyncio
import inspect
import re
from pathlib import Path
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.constraints import EventAlreadyProcessedError, UnknownTierError
from sherpa.db.engine import Database
from sherpa.db.tables import ProcessedEvents
from sherpa.db.transaction import Transaction

PAGE = Path(__file__).parents[3] / "docs" / "database.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def names(database: Database, settings: DatabaseSettings) -> dict[str, Any]:
    """Return what the page's blocks take for granted."""
    return {
        "asyncio": asyncio,
        "database": database,
        "settings": SimpleNamespace(database=settings),
        "Transaction": Transaction,
        "ProcessedEvents": ProcessedEvents,
        "EventAlreadyProcessedError": EventAlreadyProcessedError,
        "UnknownTierError": UnknownTierError,
        "ADD_EVENT": "INSERT INTO processed_events (event_id, handler_name) VALUES ($1, 'docs')",
        "ADD_MEMBERSHIP": (
            "INSERT INTO memberships (id, user_id, tier, status) VALUES (gen_random_uuid(), $1, $2, 'active')"
        ),
        "first": uuid4(),
        "second": uuid4(),
        "user": uuid4(),
        "work": lambda: asyncio.sleep(0),
        "handle": lambda _rows: None,
    }


def compiled(block: str) -> CodeType:
    """Compile a block that may await at its top level."""
    code: CodeType = compile(block, PAGE.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


@pytest.mark.parametrize("block", BLOCKS)
async def test_block_runs(database: Database, database_settings: DatabaseSettings, block: str) -> None:
    """The block runs to its end, and gives every connection back."""
    running = FunctionType(compiled(block), names(database, database_settings))()
    if inspect.isawaitable(running):
        await running

    assert 0 == database.pool_stats().in_use
