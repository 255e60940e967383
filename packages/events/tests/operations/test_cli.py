"""The command line: wrong use is 2, a fault is 1 and says in words what to do, secrets stay secret."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from packages.events.tests.operations.conftest import Fail, Run, Write
from sherpa.config import DatabaseSettings, Secret
from sherpa.devstack.harness.worker import PostgresCluster

ID = "00000000-0000-0000-0000-000000000001"
INTERRUPT_IMPORT = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "sherpa.config":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
"""


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ([], "required"),
        (["publish"], "invalid choice"),
        (["dead-letters"], "required"),
        (["dead-letters", "show", "this"], "must be a UUID, not 'this'"),
        (["dead-letters", "list", "--limit", "0"], "must be 1 to 1000000"),
        (["dead-letters", "list", "--limit", "9" * 5000], "must be 1 to 1000000"),
        (["dead-letters", "retry", ID, "--handler", "", "--yes"], "must be a name"),
        (["replay"], "--since"),
        (["replay", "--since", "yesterday"], "must be a time as"),
        (["replay", "--since", "2026-11-23T12:00:00"], "with Z or an offset"),
        (["replay", "--since", "1h", "--aggregate", "7"], "must be a UUID"),
        (["replay", "--since", "1h", "--type", "\udcff"], "must be a name"),
        (["groups", "forget"], "NAME"),
        (["groups", "forget", " ", "--yes"], "must be a name"),
    ],
    ids=lambda given: ascii(" ".join(given))[1:60] if isinstance(given, list) else None,
)
async def test_wrong_use_ends_with_2(arguments: list[str], fact: str, run: Run) -> None:
    """What can't be meant is refused on stderr, with what would be right."""
    code, out, err = await run(*arguments)

    assert (2, "") == (code, out)
    assert fact in err


async def test_help_ends_well(run: Run) -> None:
    """`--help` lists the commands."""
    code, out, _ = await run("--help")

    assert 0 == code
    assert all(word in out for word in ("status", "dead-letters", "replay", "tail", "prune", "groups"))


@pytest.mark.parametrize("command", ["dead-letters list", "prune", "replay --since 1h"])
async def test_absent_database_is_told(command: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is a failure which names the place and not the password."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hidden@127.0.0.1:1/stories")

    code, out, err = await run(*command.split())

    assert (1, "") == (code, out)
    assert "127.0.0.1:1" in err
    assert "hidden" not in err


async def test_missing_variable_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the command needs has to be set: dead letters ask for no Redis."""
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")

    code, out, err = await run("dead-letters", "list")

    assert (1, "") == (code, out)
    assert "DATABASE_URL" in err
    assert "REDIS_URL" not in err


async def test_unmigrated_database_is_told(
    run: Run, empty_database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tables are missing, the command says how they come."""
    monkeypatch.setenv("DATABASE_URL", empty_database_settings.url.reveal())

    code, _, err = await run("dead-letters", "list")

    assert 1 == code
    assert "`inv migrate`" in err


@pytest.fixture
async def reader_url(
    database_settings: DatabaseSettings, postgres_cluster: PostgresCluster
) -> AsyncIterator[str]:
    """Return the URL of a role that may read the tables and no more."""
    role, password = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    database = database_settings.url.database
    superuser = await asyncpg.connect(postgres_cluster.superuser_settings(database).url.reveal())
    await superuser.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    await superuser.execute(f'GRANT CONNECT ON DATABASE "{database}" TO {role}')
    await superuser.execute(f"GRANT SELECT ON outbox, processed_events, failed_events TO {role}")
    yield database_settings.url.replace(username=role, password=Secret(password)).reveal()
    await superuser.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    await superuser.close()


@pytest.mark.parametrize(
    "command",
    [
        "dead-letters list",
        f"dead-letters show {ID}",
        "replay --since 1h --dry-run",
        "prune --dry-run",
        "status",
    ],
)
async def test_reader_may_look(
    command: str, run: Run, reader_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may only read can use whatever only reads."""
    monkeypatch.setenv("DATABASE_URL", reader_url)

    _, _, err = await run(*command.split())

    assert "permission denied" not in err


@pytest.mark.parametrize("command", ["dead-letters discard --all --yes", "replay --since 1h", "prune"])
async def test_reader_may_not_change(
    command: str, run: Run, reader_url: str, monkeypatch: pytest.MonkeyPatch, fail: Fail, write: Write
) -> None:
    """A role that may only read is refused in clear words."""
    await fail()
    await write(age=timedelta(minutes=5))
    await write(age=timedelta(days=8))
    monkeypatch.setenv("DATABASE_URL", reader_url)

    code, _, err = await run(*command.split())

    assert 1 == code
    assert "Grant the user of DATABASE_URL this right" in err


def test_import_changes_nothing() -> None:
    """`sherpa.events.__main__` merely imported runs no command and touches no signal."""
    code = "import signal as s, sherpa.events.__main__; print(s.getsignal(s.SIGTERM) is s.SIG_DFL)"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )

    assert ("True\n", "") == (done.stdout, done.stderr)


def test_interrupt_while_loading_is_quiet() -> None:
    """Ctrl-C before anything is under way ends the process by that signal, without a traceback."""
    code = f"{INTERRUPT_IMPORT}\nimport runpy; runpy.run_module('sherpa.events', run_name='__main__')"

    done = subprocess.run(
        [sys.executable, "-c", code, "status"], capture_output=True, text=True, check=False, timeout=60
    )

    assert (-signal.SIGINT, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full (Linux)")
def test_output_that_is_lost_is_a_failure(environment: dict[str, str], tmp_path: Path) -> None:
    """A list that did not fit on the disk is told as a failure, in one line."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sherpa.events", "dead-letters", "list"],
            env=os.environ | environment,
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert done.stderr.startswith("The output can't be written")
