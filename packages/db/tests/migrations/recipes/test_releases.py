"""Each recipe, release by release, by the real runner: no step stops the code that runs before or after."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.recipes.conftest import (
    RECIPES,
    ROWS,
    SCHEMA,
    Recipe,
    Statement,
    Step,
)
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import Snapshot, diff, snapshot
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.session import open_session

# How code fails that the schema has left behind.
BROKEN = (
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedTableError,
    asyncpg.InvalidColumnReferenceError,
    asyncpg.IntegrityConstraintViolationError,
)

STEPWISE = [recipe for recipe in RECIPES if not all(step.transaction for step in recipe.migrations)]


@dataclass
class Product:
    """A database that migrations change, and the code of several releases that goes on working with it."""

    settings: DatabaseSettings
    folder: Path
    admin: asyncpg.Connection
    stack: AsyncExitStack
    sessions: dict[int, asyncpg.Connection] = field(default_factory=dict)

    async def run(self, *codes: Step) -> None:
        """Run the queries of each code, in a session that it keeps: with plans from before the change."""
        for code in codes:
            if code.release not in self.sessions:
                session = await self.stack.enter_async_context(open_session(self.settings))
                self.sessions[code.release] = session
            for query in code.queries:
                await self.sessions[code.release].fetch(query)

    async def execute(self, statements: Sequence[Statement]) -> None:
        """Execute single statements, as a runner does that is killed after the last of them."""
        for statement in statements:
            await self.admin.fetch(statement.sql)

    def write(self, step: Step) -> None:
        """Add a migration to the release."""
        migration_id = f"{len(list(self.folder.glob('*.py'))) + 1:03}_step"
        path = self.folder / f"sherpa_{migration_id}.py"
        path.write_text(step.as_file(migration_id))

    async def migrate(self) -> None:
        """Apply what is pending: one migration."""
        assert 1 == len(await migrate(self.settings, folder=self.folder))

    async def revert(self, before: Snapshot) -> None:
        """Revert one migration, and require the schema to be as it was."""
        await revert(self.settings, folder=self.folder)
        assert () == diff(before, await snapshot(self.admin))


@pytest.fixture
async def product(
    empty_database_settings: DatabaseSettings, folder: Path, write_migration: Callable[..., Path]
) -> AsyncIterator[Product]:
    """Return a product with the page's tables and some rows."""
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(open_session(empty_database_settings))
        write_migration("001_schema", SCHEMA, "SELECT 1")
        product = Product(empty_database_settings, folder, admin, stack)
        await product.migrate()
        await admin.execute(ROWS)
        yield product


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
async def test_code_works_at_every_step(recipe: Recipe, product: Product) -> None:
    """The last release's code bears each migration and its way back, and works beside the next one's."""
    codes: list[Step] = []

    for step in recipe.steps:
        if step.kind == "code":
            await product.run(*codes[-1:], step, *codes[-1:])
            codes.append(step)
            continue
        before = await snapshot(product.admin)
        product.write(step)
        await product.migrate()
        await product.run(codes[-1])
        if step.is_reversible:
            await product.revert(before)
            await product.run(codes[-1])
            await product.migrate()
        for code in codes:
            if step.breaks is not None and code.release <= step.breaks:
                with pytest.raises(BROKEN):
                    await product.run(code)

    assert "code" == recipe.steps[-1].kind


@pytest.mark.parametrize("recipe", STEPWISE, ids=lambda recipe: recipe.title)
async def test_interrupted_migration_is_run_again(recipe: Recipe, product: Product) -> None:
    """Without a transaction, both ways may be cut off after any statement: the next run completes them."""
    for step in recipe.migrations:
        before = await snapshot(product.admin)
        product.write(step)
        for done in range(1, 1 if step.transaction or not step.is_reversible else len(step.forwards)):
            await product.execute(step.forwards[:done])
            await product.migrate()
            await product.execute(step.backwards[:done])
            await product.revert(before)
        await product.migrate()
