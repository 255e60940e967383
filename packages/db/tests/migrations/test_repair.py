"""`migrations --repair`: shows what was edited, asks, and takes the files for what was applied."""

import asyncio
import os
import pty
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import RunAside, Start, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.review.repair import propose_repairs, repair
from sherpa.db.migrations.runner import migrate

FIRST, SECOND, *_ = list_files()
SOURCES = "SELECT source FROM migration ORDER BY name"
EDIT = """
UPDATE migration SET source = replace(source, 'CREATE TABLE outbox', 'CREATE TABLE inbox')
WHERE name = '001_foundation'
"""


@pytest.fixture
async def edited(run_aside: RunAside, empty_connection: asyncpg.Connection) -> asyncpg.Connection:
    """Migrate the empty database, with another text recorded of the first; return a session on it."""
    await run_aside("migrate")
    await empty_connection.execute(EDIT)
    return empty_connection


async def _recorded(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval(f"{SOURCES} LIMIT 1"))


async def test_difference_is_shown_and_accepted(edited: asyncpg.Connection, run_aside: RunAside) -> None:
    """`--yes` writes what the file says now, after a unified diff; then nothing is wrong any more."""
    code, out, err = await run_aside("migrations", "--repair", "--yes")

    assert (0, "") == (code, err)
    assert "-CREATE TABLE inbox (\n+CREATE TABLE outbox (\n" in out
    assert f"--- {FIRST.id} as applied\n+++ {FIRST.id} as the file is\n" in out
    assert FIRST.read_source() == await _recorded(edited)
    assert 0 == (await run_aside("migrations"))[0]


async def test_without_terminal_nothing_is_written(edited: asyncpg.Connection, start: Start) -> None:
    """A script must say `--yes`: without it the difference is shown, and that is wrong use."""
    process = start("migrations", "--repair")
    out, err = await asyncio.to_thread(process.communicate)

    assert 2 == process.returncode
    assert "+CREATE TABLE outbox" in out
    assert "add --yes" in err
    assert FIRST.read_source() != await _recorded(edited)


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\x04", 1)], ids=["y", "n", "end"])
async def test_terminal_is_asked(answer: bytes, code: int, edited: asyncpg.Connection, start: Start) -> None:
    """At a terminal the question comes after the difference, and only a yes writes anything."""
    ours, theirs = pty.openpty()

    process = start("migrations", "--repair", stdin=theirs)
    os.write(ours, answer)
    out, _ = await asyncio.to_thread(process.communicate)
    os.close(ours)
    os.close(theirs)

    assert code == process.returncode
    assert out.index("+CREATE TABLE outbox") < out.index("[y/N]")
    assert (code == 0) == (FIRST.read_source() == await _recorded(edited))


async def test_nothing_to_repair_is_told(run_aside: RunAside) -> None:
    """Where history and files agree there is nothing to ask and nothing to write."""
    await run_aside("migrate")

    code, out, err = await run_aside("migrations", "--repair")

    assert (0, "") == (code, err)
    assert out.startswith("Nothing repaired in ")


async def test_absent_sources_are_recorded_without_a_question(
    run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """What an older runner left out contradicts nothing, so it is written down, columns and all."""
    await run_aside("migrate")
    await empty_connection.execute("ALTER TABLE migration DROP COLUMN source, DROP COLUMN applied_by")

    code, _, err = await run_aside("migrations", "--repair")

    assert (0, "") == (code, err)
    assert [file.read_source() for file in list_files()] == [
        row["source"] for row in await empty_connection.fetch(SOURCES)
    ]


async def test_what_it_cannot_mend_is_told(edited: asyncpg.Connection, run_aside: RunAside) -> None:
    """The edited one is repaired; the missing one stays, with what to do about it."""
    await edited.execute("INSERT INTO migration (name, app_name) VALUES ('999_z', 'sherpa')")

    code, out, err = await run_aside("migrations", "--repair", "--yes")

    assert 4 == code
    assert "1 repaired" in out
    assert "999_z, which this code does not know" in err
    assert FIRST.read_source() == await _recorded(edited)


async def test_only_what_was_shown_is_written(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """A file that changes between the difference and the answer is not accepted."""
    write_migration("001_a")
    await migrate(empty_database_settings, folder=folder)
    write_migration("001_a", forwards="SELECT 1")
    shown = await propose_repairs(empty_database_settings, folder=folder)
    write_migration("001_a", forwards="SELECT 2")

    with pytest.raises(HistoryError, match="001_a changed after the difference was shown"):
        await repair(empty_database_settings, shown, folder=folder)

    (proposed,) = await propose_repairs(empty_database_settings, folder=folder)
    assert shown[0].recorded == proposed.recorded


async def test_several_at_once_end_well(edited: asyncpg.Connection, start: Start) -> None:
    """Repairs that start together take turns, and none of them fails on another."""
    await edited.execute("UPDATE migration SET source = NULL WHERE name <> '001_foundation'")
    processes = [start("migrations", "--repair", "--yes") for _ in range(3)]

    outputs = await asyncio.gather(*(asyncio.to_thread(each.communicate) for each in processes))

    assert [(0, "")] * 3 == [
        (each.returncode, err) for each, (_, err) in zip(processes, outputs, strict=True)
    ]
    assert FIRST.read_source() == await _recorded(edited)


async def test_runners_are_waited_for(edited: asyncpg.Connection, run_aside: RunAside) -> None:
    """It writes under the runners' lock, and gives up as they do."""
    await edited.execute(f"SELECT pg_advisory_lock({int.from_bytes(b'sherpadb')})")

    code, out, err = await run_aside("migrations", "--repair", "--yes", "--lock-wait", "0")

    assert 1 == code
    assert "Waiting: another runner" in out
    assert "Another runner" in err
    assert FIRST.read_source() != await _recorded(edited)
