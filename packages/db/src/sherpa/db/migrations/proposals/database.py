"""Asks a database at head what leads from it to the tables as declared; leaves no trace in it."""

from collections.abc import Sequence

from sherpa.config import DatabaseSettings
from sherpa.db.dsn import describe_server
from sherpa.db.migrations.comparison.declared import make_declared
from sherpa.db.migrations.comparison.scratch import scratch_schema
from sherpa.db.migrations.errors import PendingError
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.proposals.plan import Draft, propose
from sherpa.db.migrations.review.contradictions import examine
from sherpa.db.migrations.session import open_session


async def propose_from(settings: DatabaseSettings, files: Sequence[MigrationFile]) -> tuple[Draft, ...]:
    """Return what is missing between the database and the tables as declared; none where they agree.

    Raises `PendingError` where migrations are pending, `HistoryError`, `ConnectionFailedError`, and
    `ScratchError` for a role that may not create a schema.
    """
    async with open_session(settings) as connection:
        status = (await examine(connection, files)).require_agreement()
        if status.pending:
            raise PendingError(
                f"Pending in {describe_server(settings)}: {', '.join(status.pending)}. "
                f"What they make would be proposed once more: run `inv migrate` first."
            )
        async with scratch_schema(connection) as scratch:
            await make_declared(scratch)
            declared = await scratch.snapshot()
            actual = await scratch.actual()
    return propose(declared, actual, scratch.home)
