"""The schema at the code's head, in a database that is ours to migrate."""

import asyncio
import time

import asyncpg

from sherpa.config import Environment
from sherpa.db.console import describe
from sherpa.db.migrations import events
from sherpa.db.migrations.events import Blocked, Event, Notice, Retrying, Waiting
from sherpa.db.migrations.runner import migrate
from sherpa.db.migrations.status import Status, read_status
from sherpa.db.progressbar import ProgressBar
from sherpa.devstack.backends.backend import BackendName
from sherpa.devstack.errors import ForeignDatabaseError
from sherpa.devstack.ownership import is_managed
from sherpa.devstack.probe import Answer, postgres_options
from sherpa.devstack.progress import Progress
from sherpa.devstack.stack import Service, Stack

_TABLES = """
    SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""


def bring_to_head(stack: Stack, backend: BackendName, answer: Answer, progress: Progress) -> Status:
    """Apply the pending migrations, if any, and return what is applied.

    A database of our own servers is always migrated; one elsewhere only in a development environment, and
    when it is empty or has our history. Raises ForeignDatabaseError when it holds somebody else's tables.
    """
    status = answer.migrations or asyncio.run(_read(stack))
    if status.at_head:
        return status
    if not is_managed(stack, backend, Service.POSTGRES) and not _may_migrate(stack, status, progress):
        return status
    count = len(status.pending)
    with progress.step("migrating", f"{count} migration{'s'[: count > 1]} applied"):
        bar = ProgressBar()
        asyncio.run(migrate(stack.settings.database, report=lambda event: _tell(event, progress, bar)))
    return asyncio.run(_read(stack))


def _may_migrate(stack: Stack, status: Status, progress: Progress) -> bool:
    environment = stack.settings.server.environment
    if environment is not Environment.DEVELOPMENT:
        progress.say(f"{environment}: {len(status.pending)} migrations pending; to apply them: inv migrate")
        return False
    if not status.applied and (tables := asyncio.run(_count_tables(stack))):
        raise ForeignDatabaseError(
            f"{stack.url(Service.POSTGRES)} holds {tables} tables and no history of our migrations, "
            "so it seems to be somebody else's.",
            remedy="Correct DATABASE_URL in .env; or, if the database is really meant: uv run inv migrate",
        )
    return True


async def _read(stack: Stack) -> Status:
    connection = await asyncpg.connect(**postgres_options(stack))
    try:
        return await read_status(connection)
    finally:
        await connection.close()


async def _count_tables(stack: Stack) -> int:
    connection = await asyncpg.connect(**postgres_options(stack))
    try:
        count: int = await connection.fetchval(_TABLES)
        return count
    finally:
        await connection.close()


def _tell(event: Event, progress: Progress, bar: ProgressBar) -> None:
    match event:
        case Notice():
            progress.say(event.text)
        case Waiting():
            progress.say(f"somebody else is migrating this database ({event.holder}): waiting")
        case Blocked() | Retrying():
            progress.say(describe(event).strip())
        case events.Progress():
            # As in a log, for the terminal's last line belongs to the step that turns there.
            if line := bar.update(event, time.monotonic(), columns=None):
                progress.say(line.strip())
        case _:
            pass
