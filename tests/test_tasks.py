"""What a developer types arrives: `inv`'s tasks on the schema and the settings, as real processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.db.migrations.files import list_files

ROOT = Path(__file__).parents[1]
NOWHERE = "postgresql://nobody:nothing@127.0.0.1:1/none"

type Inv = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def inv() -> Inv:
    """Return what runs `inv …` in this checkout, with a DATABASE_URL that wins over any `.env`."""

    def inv(*arguments: str, database_url: str = NOWHERE) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", *arguments],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return inv


def test_schema_goes_there_and_back(inv: Inv, empty_database_settings: DatabaseSettings) -> None:
    """Each argument of `migrate`, `revert` and `migrations` means what it says; 2 is wrong use alone."""
    url = empty_database_settings.url.reveal()

    def run(*arguments: str, code: int = 0) -> None:
        ended = inv(*arguments, database_url=url)
        assert code == ended.returncode, ended.stdout + ended.stderr

    def applied() -> list[str]:
        listing = json.loads(inv("migrations", "--json", database_url=url).stdout)["migrations"]
        return [each["id"] for each in listing if each["state"] == "applied"]

    known = [file.id for file in list_files()]
    run("migrate", "--to", "001")
    assert known[:1] == applied()
    run("migrate")
    assert known == applied()
    run("revert")
    assert known[:-1] == applied()
    run("migrate")
    run("revert", "--to", "001")
    assert known[:1] == applied()
    run("revert", "--to", "nosuch", code=2)
    run("migrate")
    run("revert", "--steps", "2")
    assert known[:-2] == applied()
    run("migrate")
    run("revert", "--all", code=2)
    assert known == applied()
    run("revert", "--all", "--yes")
    assert [] == applied()
    run("migrate", "--to", "nosuch", code=2)


async def test_history_is_listed_repaired_and_adopted(
    inv: Inv, empty_database_settings: DatabaseSettings
) -> None:
    """`inv migrations` ends as the history says; `--repair` and `--baseline` mend what they can."""
    url = empty_database_settings.url.reveal()

    def run(*arguments: str) -> int:
        return inv(*arguments, database_url=url).returncode

    pending, applied = run("migrations"), run("migrate", "--wait", "1", "--lock-wait=1")
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE migration SET source = 'x = 1' WHERE name LIKE '001%'")
    edited, refused = run("migrations"), run("migrate")
    asked, repaired, well = (
        run("migrations", "--repair"),
        run("migrations", "--repair", "--yes"),
        run("migrations"),
    )
    await connection.execute("DROP TABLE migration")
    drifted, adopted, again = [run("migrate", "--baseline", to) for to in ("001", list_files()[-1].id, "001")]
    as_declared = run("migrations", "--check")
    await connection.execute("DROP TABLE billing_history, memberships")
    await connection.execute("DELETE FROM migration WHERE name = '002_membership'")
    late, shown = run("migrate"), inv("migrate", "--dry-run", "--allow-out-of-order", database_url=url).stdout
    still, allowed = run("migrations"), run("migrate", "--allow-out-of-order")
    await connection.close()

    assert [3, 0] == [pending, applied]
    assert [4, 4, 2, 0, 0] == [edited, refused, asked, repaired, well]
    assert [6, 0, 4] == [drifted, adopted, again]
    assert [4, 4, 0] == [late, still, allowed]
    assert "CREATE TABLE memberships" in shown
    # What 005 took away, the late 002 brought back.
    assert [0, 6] == [as_declared, run("migrations", "--check")]


def test_every_code_passes(tmp_path: Path) -> None:
    """A task ends as the command that it ran did: with 5, too, which no migration of ours ends with today."""
    (tmp_path / "planted.py").write_text(
        "from invoke.tasks import task\nfrom tasks import finish\n\n@task\ndef end(c):\n    finish(5)\n"
    )
    command = [sys.executable, "-m", "invoke", "--collection", "planted", "end"]

    ended = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False, timeout=60
    )

    assert 5 == ended.returncode


def test_failure_is_1(inv: Inv) -> None:
    """A server that isn't there is no wrong use: the exit code is 1, and the message names the place."""
    ended = inv("migrate")

    assert 1 == ended.returncode
    assert "127.0.0.1:1" in ended.stderr


def test_settings_are_shown(inv: Inv) -> None:
    """`inv config` shows a table, with `--json` a document; the password is in neither."""
    text, document = inv("config"), inv("config", "--json")

    assert "postgresql://nobody:***@127.0.0.1:1/none" in text.stdout
    assert "postgresql://nobody:***@127.0.0.1:1/none" in json.dumps(json.loads(document.stdout))
    assert "nothing" not in text.stdout + text.stderr + document.stdout + document.stderr


async def test_events_are_looked_after(inv: Inv, database_settings: DatabaseSettings) -> None:
    """`inv events …` hands every word and flag on: what `python -m sherpa.events …` does, it does."""
    url = database_settings.url.reveal()
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, created_at, processed_at)"
        " SELECT 'a', gen_random_uuid(), type, '{}', at, at"
        " FROM unnest('{x,y,z}'::text[]) AS type, unnest(ARRAY[now() - '1 hour'::interval]) AS at"
    )
    await connection.execute(
        "INSERT INTO failed_events (event_id, handler_name, entry, status) VALUES ($1, 'h', '{}', 'dead')",
        UUID(int=1),
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return inv("events", *arguments, database_url=url)

    listed = json.loads(run("dead-letters", "list", "--handler", "h", "--limit", "1", "--json").stdout)
    shown = run("dead-letters", "show", str(UUID(int=1)))
    unsure = run("dead-letters", "discard", "--all")
    discarded = run("dead-letters", "discard", str(UUID(int=1)), "--yes")
    planned = run("replay", "--since", "2h", "--to=30m", "--type", "x", "--type", "y", "--dry-run")
    pruned = run("prune")
    await connection.close()

    assert (1, 0, 2, 0) == (listed["total"], shown.returncode, unsure.returncode, discarded.returncode)
    assert "2 events would be published again" in planned.stdout
    assert (0, 2) == (pruned.returncode, run("dead-letters").returncode)
