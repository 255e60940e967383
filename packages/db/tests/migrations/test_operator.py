"""The commands where an operator meets them: odd rows, odd defaults, a signal at the wrong moment."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import RunAside, WriteMigration
from sherpa.config import DatabaseSettings
from sherpa.db.migrations.errors import HistoryError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.history import read_history
from sherpa.db.migrations.runner import migrate

ALL = [file.id for file in list_files()]

RUN_MODULE = "import runpy; runpy.run_module('sherpa.db', run_name='__main__')"
INTERRUPT_IMPORT = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncpg":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""

type StartPython = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize(
    ("name", "ran_on"), [("NULL", "now()"), ("'001'", "NULL"), ("'001'", "'4000-01-01 BC'")]
)
async def test_row_that_none_of_us_wrote_is_told(
    name: str, ran_on: str, empty_connection: asyncpg.Connection, run_aside: RunAside
) -> None:
    """A row that Piccolo can't have written makes the table somebody else's; it is no traceback."""
    await empty_connection.execute(f"""
        CREATE TABLE migration (name text, app_name text, ran_on timestamp);
        INSERT INTO migration VALUES ({name}, 'sherpa', {ran_on})
    """)

    code, out, err = await run_aside("migrations", "--json")

    assert (4, "") == (code, out)
    assert "not our table" in err


async def test_history_that_may_not_be_read_is_a_failure(
    empty_database_settings: DatabaseSettings,
    guest_settings: DatabaseSettings,
    run_aside: RunAside,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing right is no contradiction: 1, with the right that is missing."""
    await migrate(empty_database_settings)
    monkeypatch.setenv("DATABASE_URL", guest_settings.url.reveal())

    code, _, err = await run_aside("migrations")

    assert 1 == code
    assert "GRANT SELECT ON migration" in err


async def test_user_whose_name_is_no_text_is_recorded(
    empty_connection: asyncpg.Connection,
    empty_database_settings: DatabaseSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A LOGNAME in another encoding stops no migration."""
    monkeypatch.setenv("LOGNAME", "j\udcfcrgen")

    await migrate(empty_database_settings, to="001")

    assert ["j?rgen"] == [
        (each.applied_by or "").partition("@")[0] for each in await read_history(empty_connection)
    ]


async def test_quoted_names_are_no_drift(superuser: asyncpg.Connection, run_aside: RunAside) -> None:
    """A database that is set to write every name in quotes is as the tables declare it, and adoptable."""
    database = await superuser.fetchval("SELECT quote_ident(current_database())")
    await superuser.execute(f"ALTER DATABASE {database} SET quote_all_identifiers = on")
    await run_aside("migrate")

    checked, _, _ = await run_aside("migrations", "--check")
    await superuser.execute("DROP TABLE migration")
    adopted, _, _ = await run_aside("migrate", "--baseline", ALL[-1])

    assert [0, 0] == [checked, adopted]


async def test_server_of_another_kind_is_told(run_aside: RunAside, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGTARGETSESSIONATTRS, which the driver heeds, is named when the server is not of that kind."""
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")

    code, _, err = await run_aside("migrations")

    assert 1 == code
    assert "is not what PGTARGETSESSIONATTRS in the environment asks for" in err


@pytest.mark.parametrize("flag", ["--to", "--baseline"])
async def test_empty_id_is_wrong_use(
    flag: str, run_aside: RunAside, empty_connection: asyncpg.Connection
) -> None:
    """`--baseline "$UNSET"` applies nothing."""
    code, _, err = await run_aside("migrate", flag, "")

    assert 2 == code
    assert "No migration is called ''" in err
    assert () == await read_history(empty_connection)


async def test_baseline_that_was_too_low_is_raised(
    empty_database_settings: DatabaseSettings, empty_connection: asyncpg.Connection, run_aside: RunAside
) -> None:
    """What stands in the history stays, and the rest of what is proven is added."""
    await migrate(empty_database_settings, to="002")
    await empty_connection.execute("DROP TABLE migration")
    await run_aside("migrate", "--baseline", "001")
    (first,) = await read_history(empty_connection)

    refused, _, _ = await run_aside("migrate", "--baseline", ALL[-1])
    code, out, _ = await run_aside("migrate", "--baseline", "002")

    assert (6, 0) == (refused, code)
    assert ["002_membership", "adopted"] == out.split()[:2]
    assert [first.id, "002_membership"] == [each.id for each in await read_history(empty_connection)]
    assert first == (await read_history(empty_connection))[0]


def test_output_without_the_characters_is_no_fault(environment: dict[str, str], start: StartPython) -> None:
    """Where the output's encoding lacks a character its code is written; JSON stays JSON."""
    environment |= {"PYTHONIOENCODING": "ascii", "LOGNAME": "Zoë"}
    start("migrate").communicate()

    told, _ = start("migrations").communicate()
    listed, _ = start("migrations", "--json").communicate()

    assert r"Zo\xeb@" in told
    assert json.loads(listed)["migrations"][0]["applied_by"].startswith("Zoë@")


def test_interrupt_while_loading_is_quiet(start_python: StartPython) -> None:
    """Ctrl-C before anything is under way ends the process by that signal, without a traceback."""
    process = start_python(f"{INTERRUPT_IMPORT}\n{RUN_MODULE}", "migrate")

    out, err = process.communicate()

    assert (-signal.SIGINT, "", "") == (process.returncode, out, err)


def test_sigterm_ends_a_job_in_the_background(
    environment: dict[str, str], free_port: Callable[[], int], tmp_path: Path
) -> None:
    """A script's `&` makes a job ignore SIGINT, but SIGTERM ends it all the same."""
    nobody = f"postgresql://somebody@127.0.0.1:{free_port()}/nothing"
    job = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT; exec \"$0\" -m sherpa.db migrate --wait 60", sys.executable],
        env=environment | {"DATABASE_URL": nobody},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stdout is not None
    job.stdout.readline()

    job.terminate()
    _, err = job.communicate(timeout=30)

    assert 1 == job.returncode
    assert err.startswith("Interrupted.")


def test_hidden_files_are_none_of_ours(folder: Path, write_migration: WriteMigration) -> None:
    """What editors and file managers leave in the folder is no migration, and no fault."""
    write_migration("001_a")
    for name in (".#sherpa_001_a.py", "._sherpa_001_a.py"):
        (folder / name).write_text("")

    assert ["001_a"] == [file.id for file in list_files(folder)]


async def test_older_code_is_told_once(
    folder: Path, write_migration: WriteMigration, empty_database_settings: DatabaseSettings
) -> None:
    """An older image meets several migrations that it doesn't know: one sentence names them all."""
    paths = [write_migration(each) for each in ("001_a", "002_b", "003_c")]
    await migrate(empty_database_settings, folder=folder)
    for path in paths[1:]:
        path.unlink()

    with pytest.raises(HistoryError) as caught:
        await migrate(empty_database_settings, folder=folder)

    (told,) = str(caught.value).splitlines()
    assert told.startswith("The database has 002_b, 003_c, which this code does not know.")
