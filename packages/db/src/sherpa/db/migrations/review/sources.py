"""The sources recorded with what was applied, against those of the files: edited, or not recorded at all."""

from collections.abc import Sequence
from contextlib import suppress

import asyncpg

from sherpa.db.migrations.files import MigrationFile, digest
from sherpa.db.migrations.history import Record, read_sources, write_sources
from sherpa.db.migrations.lock import require_lock
from sherpa.db.migrations.review.canonical import is_same
from sherpa.db.migrations.session import transaction


async def find_edited(
    connection: asyncpg.Connection, applied: Sequence[Record], files: Sequence[MigrationFile]
) -> tuple[str, ...]:
    """Return the IDs of those applied migrations whose files do something else now than they did then.

    Asks the database only about files that differ to the letter from what is recorded.
    """
    digests = {each.id: each.digest for each in applied if each.digest}
    sources = {file.id: file.read_source() for file in files if file.id in digests}
    differing = {each: source for each, source in sources.items() if digest(source) != digests[each]}
    if not differing:
        return ()
    recorded = await read_sources(connection, differing)
    # What was reverted in between is recorded no more.
    return tuple(each for each, source in differing.items() if not is_same(recorded.get(each), source))


def find_absent(applied: Sequence[Record], files: Sequence[MigrationFile]) -> tuple[MigrationFile, ...]:
    """Return the files of those applied migrations whose source an older runner, or Piccolo, left out."""
    absent = {each.id for each in applied if each.digest is None}
    return tuple(file for file in files if file.id in absent)


async def record_absent(
    connection: asyncpg.Connection, applied: Sequence[Record], files: Sequence[MigrationFile]
) -> None:
    """Write down the files' sources where none is recorded; the session holds the runners' lock.

    A role that may add to the history, but not change it, leaves that to another.
    """
    if absent := find_absent(applied, files):
        with suppress(asyncpg.InsufficientPrivilegeError):
            async with transaction(connection):
                await require_lock(connection)
                await write_sources(connection, {file.id: file.read_source() for file in absent})
