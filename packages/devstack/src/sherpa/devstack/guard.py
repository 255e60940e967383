"""Nothing is written to another checkout's servers: what every command asks that hands one over.

Servers that belong to no checkout are the business of whoever named them.
"""

import asyncio
from pathlib import Path

import asyncpg

from sherpa.config import ConfigError, DatabaseSettings, ServiceUrl, load
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.settings import MigrationSettings
from sherpa.devstack.envfile import path_of
from sherpa.devstack.errors import ForeignDatabaseError
from sherpa.devstack.ownership import VARIABLES
from sherpa.devstack.probe import APPLICATION, TIMEOUT_SECONDS, Answer
from sherpa.devstack.settings import source_of
from sherpa.devstack.stack import Service, Stack, identity_of, is_identity


def require_own(stack: Stack, answer: Answer) -> None:
    """Raise ForeignDatabaseError when another checkout's server gave this answer."""
    _require(answer.identity, stack.root, stack.url(answer.service), VARIABLES[answer.service])


def require_own_database(root: Path) -> None:
    """Raise ForeignDatabaseError when DATABASE_URL leads to another checkout's server.

    A copied `.env` does, or a variable of the shell. No other setting is needed for this.
    """
    try:
        settings = load(MigrationSettings, dotenv=path_of(root)).database
        name = asyncio.run(_ask_name(settings))
    except (ConfigError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        # The command itself says best what is wrong, and can't write there, either.
        return
    _require(name, root, settings.url, VARIABLES[Service.POSTGRES])


def _require(name: str, root: Path, url: ServiceUrl, variable: str) -> None:
    if is_identity(name) and name != identity_of(root):
        raise ForeignDatabaseError(
            f"{url} belongs to another checkout ({name}), so nothing was done there.",
            remedy=f"Correct {variable} in {source_of(variable)}; "
            "for servers of this checkout's own: uv run inv up --reassign-ports",
        )


async def _ask_name(settings: DatabaseSettings) -> str:
    options = connect_options(settings, APPLICATION) | {"timeout": TIMEOUT_SECONDS}
    connection = await asyncpg.connect(**options)
    try:
        name: str = await connection.fetchval(
            "SELECT current_setting('cluster_name')", timeout=TIMEOUT_SECONDS
        )
    finally:
        connection.terminate()
    return name
