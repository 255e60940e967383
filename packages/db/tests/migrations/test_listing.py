"""`migrations`: each migration with its state, when, by whom and how long, for people and for programs."""

import json
import re
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.conftest import Run, RunAside
from sherpa.config import DatabaseSettings
from sherpa.db.catalogue import diff, snapshot
from sherpa.db.dsn import describe_server
from sherpa.db.migrations.files import list_files

FIRST, SECOND, *REST = [file.id for file in list_files()]


def test_table_has_a_line_for_each(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """A line says ID, state, when, how long, by whom and the name; the last one sums up."""
    run("migrate", "--to", FIRST)

    code, out, err = run("migrations")

    first, second, *_, total = out.splitlines()
    where = describe_server(empty_database_settings)
    assert (3, "") == (code, err)
    assert [FIRST, "applied", "ms"] == [first.split()[each] for each in (0, 1, 4)]
    assert first.endswith("outbox, processed_events, extensions")
    assert f" as {empty_database_settings.url.username} " in first
    assert [SECOND, "pending", "memberships,", "billing_history"] == second.split()
    assert f"1 applied, {1 + len(REST)} pending in {where}." == total


def test_exit_code_tells_whether_anything_is_to_do(run: Run) -> None:
    """3 while something is pending, 0 at the head."""
    untouched, _, _ = run("migrations")
    run("migrate")
    at_head, _, _ = run("migrations")

    assert (3, 0) == (untouched, at_head)


def test_page_shows_the_json(run: Run) -> None:
    """The documented object has the fields of the real one, in their order."""
    page = Path(__file__).parents[4] / "docs" / "migrations.md"
    examples = re.findall(r"^```json\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    documented = next(example for text in examples if "migrations" in (example := json.loads(text)))

    document = json.loads(run("migrations", "--json")[1])

    assert list(documented) == list(document)
    assert list(documented["migrations"][0]) == list(document["migrations"][0])


def test_json_is_stable(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """The JSON has the documented fields and nothing else on stdout."""
    run("migrate", "--to", FIRST)

    code, out, _ = run("migrations", "--json")

    document = json.loads(out)
    first, second, *_ = document.pop("migrations")
    assert 3 == code
    assert {
        "database": describe_server(empty_database_settings),
        "at_head": False,
        "contradictions": [],
    } == document
    assert {
        "id": SECOND,
        "name": "memberships, billing_history",
        "state": "pending",
        "applied_at": None,
        "applied_by": None,
        "duration_seconds": None,
    } == second
    assert list(second) == list(first)
    assert ("T", "Z") == (first["applied_at"][10], first["applied_at"][-1])
    assert first["duration_seconds"] > 0


async def test_every_state_is_told(run_aside: RunAside, empty_connection: asyncpg.Connection) -> None:
    """Edited, missing and late ones are called that, in the list and in JSON, beside what is to be done."""
    await run_aside("migrate")
    await empty_connection.execute(
        f"""
        UPDATE migration SET source = 'x = 1' WHERE name = '{FIRST}';
        DELETE FROM migration WHERE name = '{SECOND}';
        INSERT INTO migration (name, app_name) VALUES ('999_from_elsewhere', 'sherpa')
        """
    )

    code, out, err = await run_aside("migrations", "--json")
    _, table, _ = await run_aside("migrations")

    document = json.loads(out)
    states = {each["id"]: each["state"] for each in document["migrations"]}
    expected = {FIRST: "edited", SECOND: "late", "999_from_elsewhere": "missing"}
    assert 4 == code
    assert expected | dict.fromkeys(REST, "applied") == states
    assert "from elsewhere" == document["migrations"][-1]["name"]
    assert "\n".join(document["contradictions"]) + "\n" == err
    assert states == {line.split()[0]: line.split()[1] for line in table.splitlines()[:-1]}


async def test_reader_may_list_and_writes_nothing(
    run_aside: RunAside,
    guest_settings: DatabaseSettings,
    empty_connection: asyncpg.Connection,
    superuser: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SELECT on the history is all that it needs, in a session that can't write."""
    await run_aside("migrate")
    reader = guest_settings.url.username
    await empty_connection.execute(f"GRANT SELECT ON migration TO {reader}")
    await superuser.execute(f"ALTER ROLE {reader} SET default_transaction_read_only = on")
    before = await snapshot(empty_connection)
    monkeypatch.setenv("DATABASE_URL", guest_settings.url.reveal())

    code, _, err = await run_aside("migrations")

    assert (0, "") == (code, err)
    assert () == diff(before, await snapshot(empty_connection))
