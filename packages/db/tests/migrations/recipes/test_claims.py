"""What the page says of each statement is what a real server does: its locks, whom they block, its cost."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import asyncpg
import pytest

from packages.db.tests.migrations.recipes.conftest import RECIPES, ROWS, SCHEMA, Recipe, Statement
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.session import open_session

WEAK_TO_STRONG = (
    "ACCESS SHARE",
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)

RELATIONS = """
SELECT oid, relname, pg_relation_filenode(oid) AS file FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')
"""
LOCKS = "SELECT relation, mode FROM pg_locks WHERE pid = $1 AND locktype = 'relation' AND granted"
# What this session has read and not yet told to the others: of its transaction, and a little before.
ROWS_READ_HERE = "SELECT relid, seq_tup_read FROM pg_stat_xact_user_tables"
ROWS_READ = "SELECT relid, seq_tup_read FROM pg_stat_user_tables"
IS_WAITING = "SELECT coalesce(wait_event_type = 'Lock', false) FROM pg_stat_activity WHERE pid = $1"

PATIENCE_SECONDS = 60.0

type Locks = Mapping[str, str]


@dataclass(frozen=True)
class Observer:
    """Runs statements, each in a transaction of its own, while another session looks on."""

    runner: asyncpg.Connection
    onlooker: asyncpg.Connection
    bystander: asyncpg.Connection

    async def observe_all(self, statements: Sequence[Statement]) -> list[str]:
        """Run a migration's statements; return what each did to what was there before the migration."""
        known = {each["oid"] for each in await self.runner.fetch(RELATIONS)}
        return [await self._observe(statement, known) for statement in statements]

    async def _observe(self, statement: Statement, known: Collection[int]) -> str:
        before = [each for each in await self.runner.fetch(RELATIONS) if each["oid"] in known]
        names = {each["oid"]: each["relname"] for each in before}
        watch = self._watch_concurrently if statement.concurrently else self._watch
        locks, blocked, read = await watch(statement.sql, names)
        files = {each["oid"]: each["file"] for each in await self.runner.fetch(RELATIONS)}
        rewritten = {
            each["relname"] for each in before if files.get(each["oid"], each["file"]) != each["file"]
        }
        held = ", ".join(f"{name} {mode}" for name, mode in sorted(locks.items()))
        return f"locks {held or 'nothing'}: blocks {blocked}; {_cost(rewritten, read)}"

    async def _watch(self, sql: str, names: Mapping[int, str]) -> tuple[Locks, str, Collection[str]]:
        async with self.runner.transaction():
            before = await self._rows_read(ROWS_READ_HERE, names)
            await self.runner.fetch(sql)
            after = await self._rows_read(ROWS_READ_HERE, names)
            locks = await self._locks(names)
            blocked = await self._blocked(locks)
        return locks, blocked, _risen(before, after)

    async def _watch_concurrently(
        self, sql: str, names: Mapping[int, str]
    ) -> tuple[Locks, str, Collection[str]]:
        """Hold it up in the middle of its work by a transaction that writes, and look at it then."""
        before = await self._rows_read(ROWS_READ, names)
        async with self.bystander.transaction():
            for name in names.values():
                await self.bystander.execute(f"LOCK TABLE {name} IN ROW EXCLUSIVE MODE")
            running = asyncio.create_task(self.runner.fetch(sql))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await self.onlooker.fetchval(IS_WAITING, self.runner.get_server_pid()):
                    assert not running.done(), f"{sql} waited for nobody: {await running}"
                    await asyncio.sleep(0.01)
            locks = await self._locks(names)
            blocked = await self._blocked(locks)
        await running
        return locks, blocked, _risen(before, await self._rows_read(ROWS_READ, names))

    async def _locks(self, names: Mapping[int, str]) -> Locks:
        """Return the strongest lock that the runner holds on each relation that was there before."""
        strongest: dict[str, str] = {}
        for oid, mode in await self.onlooker.fetch(LOCKS, self.runner.get_server_pid()):
            words = " ".join(re.findall("[A-Z][a-z]+", mode.removesuffix("Lock"))).upper()
            if oid in names:
                other = strongest.get(names[oid], words)
                strongest[names[oid]] = max(words, other, key=WEAK_TO_STRONG.index)
        return strongest

    async def _blocked(self, locks: Locks) -> str:
        """Try what others do all day, without waiting: read, write, write the same rows."""
        if not await self._all_pass(locks, "LOCK TABLE {} IN ACCESS SHARE MODE NOWAIT"):
            return "reads and writes"
        if not await self._all_pass(locks, "LOCK TABLE {} IN ROW EXCLUSIVE MODE NOWAIT"):
            return "writes"
        rows = [name for name, mode in locks.items() if mode == "ROW EXCLUSIVE"]
        if not await self._all_pass(rows, "SELECT FROM {} FOR UPDATE NOWAIT"):
            return "writes to the same rows"
        return "nothing"

    async def _all_pass(self, names: Collection[str], attempt: str) -> bool:
        with suppress(asyncpg.LockNotAvailableError):
            for name in names:
                async with self.onlooker.transaction():
                    await self.onlooker.execute(attempt.format(name))
            return True
        return False

    async def _rows_read(self, query: str, names: Mapping[int, str]) -> Mapping[str, int]:
        if query == ROWS_READ:
            await self.runner.fetch("SELECT pg_stat_force_next_flush()")
        return {names[oid]: rows for oid, rows in await self.runner.fetch(query) if oid in names}


def _risen(before: Mapping[str, int], after: Mapping[str, int]) -> Collection[str]:
    return {name for name, rows in after.items() if rows > before.get(name, 0)}


def _cost(rewritten: Collection[str], read: Collection[str]) -> str:
    costs = {"rewrites": set(rewritten), "reads": set(read) - set(rewritten)}
    return (
        ", ".join(f"{verb} {' and '.join(sorted(names))}" for verb, names in costs.items() if names)
        or "instant"
    )


@pytest.fixture
async def observer(empty_database_settings: DatabaseSettings) -> AsyncIterator[Observer]:
    """Return an observer of a database with the page's tables and some rows."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(open_session(empty_database_settings)) for _ in range(3)]
        await sessions[0].execute(SCHEMA + ROWS)
        yield Observer(*sessions)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
async def test_statements_do_what_is_claimed(recipe: Recipe, observer: Observer) -> None:
    """Forwards, back, and forwards again: each statement locks, blocks and costs what the page says."""
    ways = [
        way
        for step in recipe.migrations
        for way in ([step.forwards, step.backwards, step.forwards] if step.is_reversible else [step.forwards])
    ]

    seen = [await observer.observe_all(way) for way in ways]

    assert [[statement.claim for statement in way] for way in ways] == seen


@pytest.mark.parametrize(
    "statement", [each for recipe in RECIPES for each in recipe.bad], ids=lambda each: each.sql[:60]
)
async def test_warnings_are_true(statement: Statement, observer: Observer) -> None:
    """What the page warns of is as bad as it says."""
    assert [statement.claim] == await observer.observe_all([statement])
