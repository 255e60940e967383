"""Piccolo's own command reads the same history, and ours reads what Piccolo wrote."""

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import RunAside, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.status import read_status

KNOWN = [file.id for file in list_files()]
# Later ones may be code, which Piccolo doesn't run.
OF_SQL = KNOWN[:5]


class Piccolo:
    """Piccolo's command, as its users call it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment | {"PICCOLO_CONF": "sherpa.db.piccolo_conf"}
        self.folder = folder

    def __call__(self, *arguments: str) -> str:
        """Run `piccolo migrations ...`; it must end well."""
        done = self.run(*arguments)
        done.check_returncode()
        return done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `piccolo migrations ...`, however it ends."""
        return subprocess.run(
            [sys.executable, "-m", "piccolo.main", "migrations", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def use(self, folder: Path) -> None:
        """Take the migrations from this folder from now on."""
        app = f"AppConfig(app_name='sherpa', migrations_folder_path={str(folder)!r})"
        (self.folder / "made_up_app.py").write_text(
            f"from piccolo.conf.apps import AppConfig\n\nAPP_CONFIG = {app}\n"
        )
        (self.folder / "made_up_conf.py").write_text(
            "from piccolo.conf.apps import AppRegistry\n"
            "from sherpa.db.piccolo_conf import DB as DB\n\n"
            "APP_REGISTRY = AppRegistry(apps=['made_up_app'])\n"
        )
        self.environment |= {"PICCOLO_CONF": "made_up_conf"}


@pytest.fixture
def piccolo(environment: dict[str, str], tmp_path: Path) -> Piccolo:
    """Return Piccolo's command on the empty database."""
    return Piccolo(environment, tmp_path)


async def test_piccolo_sees_what_we_applied(
    piccolo: Piccolo, empty_database_settings: DatabaseSettings
) -> None:
    """`piccolo migrations check` lists ours: the first as done, the others as not."""
    await migrate(empty_database_settings, to="001")

    listing = piccolo("check")

    rows = [[cell.strip() for cell in line.split("|")] for line in listing.splitlines()[2:]]
    # Piccolo cuts what is too long for its table.
    told = [(app, migration_id.removesuffix("..."), ran) for app, migration_id, _, ran in rows]
    assert [("sherpa", str(each == "001_foundation")) for each in KNOWN] == [
        (app, ran) for app, _, ran in told
    ]
    assert all(each.startswith(migration_id) for each, (_, migration_id, _) in zip(KNOWN, told, strict=True))


async def test_we_see_what_piccolo_applied(
    piccolo: Piccolo, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """What `piccolo migrations forwards` did is applied for us, is the same schema, and can be reverted."""
    await migrate(empty_database_settings, to=OF_SQL[-1])
    expected = (await snapshot(empty_connection)).without({"public.migration"})
    await revert(empty_database_settings, everything=True)

    piccolo("forwards", "sherpa", OF_SQL[-1])

    assert tuple(OF_SQL) == (await read_status(empty_connection)).applied_ids
    assert () == diff(expected, (await snapshot(empty_connection)).without({"public.migration"}))
    assert OF_SQL[::-1] == [
        each.migration_id for each in await revert(empty_database_settings, everything=True)
    ]


async def test_piccolo_reverts_what_we_applied(
    piccolo: Piccolo, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """`piccolo migrations backwards` finds the newest of ours."""
    await migrate(empty_database_settings, to=OF_SQL[-1])

    piccolo("backwards", "sherpa", OF_SQL[-1], "--auto_agree")

    assert tuple(OF_SQL[:-1]) == (await read_status(empty_connection)).applied_ids


async def test_piccolos_history_table_stays(
    piccolo: Piccolo, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """A history table that Piccolo made is not ours to drop."""
    piccolo("check")
    before = await snapshot(empty_connection)

    await migrate(empty_database_settings)
    await revert(empty_database_settings, everything=True)

    assert () == diff(before, await snapshot(empty_connection))


async def test_piccolos_records_get_their_sources(
    piccolo: Piccolo, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """What Piccolo applied is complete after our next run that applies something: its own facts stay."""
    piccolo("forwards", "sherpa", "001_foundation")
    before = await empty_connection.fetchrow("SELECT id, name, ran_on FROM migration")

    await migrate(empty_database_settings)

    assert before == await empty_connection.fetchrow("SELECT id, name, ran_on FROM migration WHERE id = 1")
    assert [("001_foundation", True, False), ("002_membership", True, True)] == [
        tuple(row)
        for row in await empty_connection.fetch("""
            SELECT name, source IS NOT NULL, applied_by IS NOT NULL FROM migration ORDER BY name LIMIT 2
        """)
    ]


LATE = "DROP TABLE billing_history, memberships; DELETE FROM migration WHERE name = '002_membership'"


@pytest.mark.parametrize(
    ("harm", "mended"),
    [
        ("UPDATE migration SET source = 'x = 1' WHERE id = 1", ["migrations", "--repair", "--yes"]),
        ("DROP TABLE migration", ["migrate", "--baseline", KNOWN[-1]]),
        (LATE, ["migrate", "--allow-out-of-order"]),
    ],
    ids=["repaired", "baseline", "out of order"],
)
async def test_piccolo_reads_what_was_mended(
    harm: str, mended: list[str], piccolo: Piccolo, run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """After a repair, a baseline or a late migration, Piccolo sees all as applied, and has nothing to do."""
    await run_aside("migrate")
    await empty_connection.execute(harm)
    code, _, _ = await run_aside(*mended)

    listing, forwards = piccolo("check"), piccolo("forwards", "sherpa")

    rows = [[cell.strip() for cell in line.split("|")] for line in listing.splitlines()[2:]]
    assert (0, ["True"] * len(KNOWN)) == (code, [ran for *_, ran in rows])
    assert "No migrations need to be run" in forwards


async def test_history_has_piccolos_columns(
    piccolo: Piccolo, empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection
) -> None:
    """The history that we make is Piccolo's, column by column; it adds columns, a key and a comment."""
    piccolo("check")
    theirs = await snapshot(empty_connection)
    await empty_connection.execute("DROP TABLE migration")
    await migrate(empty_database_settings)

    ours = await snapshot(empty_connection)

    added = [fact.name for fact in set(ours.facts) - set(theirs.facts) if fact.relation == "public.migration"]
    gone = [fact for fact in set(theirs.facts) - set(ours.facts) if fact.relation == "public.migration"]
    assert [] == gone
    assert [
        "public.migration.applied_by",
        "public.migration.duration_seconds",
        "public.migration.migration_app_name_name_key",
        "public.migration.source",
        "public.migration_app_name_name_key",
        "table public.migration",
    ] == sorted(added)


async def test_piccolo_runs_single_statements(
    piccolo: Piccolo, folder: Path, write_migration: WriteMigration, empty_connection: asyncpg.Connection
) -> None:
    """What can't run in a transaction, Piccolo runs statement by statement, there and back."""
    write_migration("001_a", forwards="CREATE TABLE a (x int)", backwards="DROP TABLE a")
    write_migration(
        "002_b",
        forwards=("CREATE INDEX CONCURRENTLY IF NOT EXISTS a_x ON a (x)", "VACUUM a"),
        backwards=("DROP INDEX CONCURRENTLY IF EXISTS a_x",),
        transaction=False,
    )
    piccolo.use(folder)

    piccolo("forwards", "sherpa")
    there = await empty_connection.fetchval("SELECT to_regclass('a_x') IS NOT NULL")
    piccolo("backwards", "sherpa", "002_b", "--auto_agree")

    assert there
    assert await empty_connection.fetchval("SELECT to_regclass('a_x') IS NULL")


@pytest.mark.parametrize(
    ("forwards", "backwards", "arguments", "fact"),
    [
        ("CODE", "SELECT 1", ("forwards", "sherpa"), "001_a runs code, which Piccolo can't"),
        (
            "SELECT 1",
            "WAY BACK",
            ("backwards", "sherpa", "001_a", "--auto_agree"),
            "001_a has no way back: burnt",
        ),
    ],
)
def test_piccolo_refuses_what_it_cannot_do(
    forwards: str,
    backwards: str,
    arguments: tuple[str, ...],
    fact: str,
    piccolo: Piccolo,
    folder: Path,
    write_migration: WriteMigration,
) -> None:
    """Code, and a way back that does not exist, end Piccolo's command with a sentence that says so."""
    path = write_migration("001_a", forwards=forwards, backwards=backwards)
    code = "async def work(run):\n    pass\n\n\nFORWARDS = work"
    text = path.read_text().replace("FORWARDS = 'CODE'", code)
    path.write_text(text.replace("BACKWARDS = 'WAY BACK'", "BACKWARDS = Irreversible('burnt')"))
    piccolo.use(folder)
    if arguments[0] == "backwards":
        piccolo("forwards", "sherpa")

    done = piccolo.run(*arguments)

    assert 0 != done.returncode
    assert fact in done.stdout + done.stderr
