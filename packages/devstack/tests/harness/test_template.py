"""The template is made by the real migrations, once for a session, and anew when they change."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.db import migrations
from sherpa.devstack.harness import leftovers, place, template
from sherpa.devstack.harness.cluster import ServerGoneError
from sherpa.devstack.harness.session import Session
from sherpa.devstack.harness.worker import Worker


@pytest.fixture
def second(worker: Worker) -> Iterator[Worker]:
    """Another process of the same session, as far as files and servers can tell."""
    second = Worker(worker.session, "gw1")
    yield second
    second.close()


def test_workers_share_servers_and_template(worker: Worker, second: Worker) -> None:
    """The second worker finds what the first has started, and clones the template that the first has made."""
    record = worker.session.directory / f"template_{template.migrations_digest()}.json"
    leases = [worker.lend()]
    made = record.stat().st_mtime_ns

    leases.append(second.lend())

    assert (worker.cluster, made) == (second.cluster, record.stat().st_mtime_ns)
    assert ["test_main", "test_gw1"] == [lease.database.rpartition("_")[0] for lease in leases]
    for owner, lease in zip((worker, second), leases, strict=True):
        owner.take_back(lease)


def test_template_is_named_after_the_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed, added or removed migration makes another template."""
    (tmp_path / "one.py").write_text("ID = 'one'")
    monkeypatch.setattr(migrations, "__path__", [str(tmp_path)])
    digests = [template.migrations_digest()]

    (tmp_path / "one.py").write_text("ID = 'other'")
    digests.append(template.migrations_digest())
    (tmp_path / "two.py").write_text("ID = 'two'")
    digests.append(template.migrations_digest())
    (tmp_path / "one.py").unlink()
    digests.append(template.migrations_digest())

    assert 4 == len(set(digests))


def test_failed_build_is_tried_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations that fail leave nothing that a later attempt stumbles over."""
    monkeypatch.setattr(template, "migrations_digest", lambda: "broken")

    async def fail(settings: object) -> None:
        raise RuntimeError("a migration is broken")

    with monkeypatch.context() as broken:
        broken.setattr(template, "migrate", fail)
        with pytest.raises(RuntimeError, match="a migration is broken"):
            asyncio.run(template.obtain(worker.session, worker.cluster))
    made = asyncio.run(template.obtain(worker.session, worker.cluster))

    assert "template_broken" == made.name


def test_ended_server_is_named(suite: Any) -> None:
    """Where a test has ended the session's server, the tests after it say so, and the run ends in order."""
    session = Session.new(suite.servers)
    worker = Worker(session, "main")
    lease = worker.lend()
    lease.is_open = True
    for server in suite.processes():
        server.kill()
        server.wait()

    worker.take_back(lease)

    with pytest.raises(ServerGoneError, match="a test has ended it"):
        worker.lend()
    worker.close()
    leftovers.end(session)
    assert [] == suite.sessions()


def test_servers_on_a_disk(disk: Path) -> None:
    """Where there is no memory-backed folder, a disk serves: slower, with the other way to copy."""
    session = Session.new(disk)
    worker = Worker(session, "main")
    try:
        lease = worker.lend()
        lease.is_open = True

        assert ([], place.is_memory(disk)) == (worker.take_back(lease).differences, worker.cluster.in_memory)
    finally:
        worker.close()
        leftovers.remove(session)


async def test_nothing_waits_for_a_disk(connection: asyncpg.Connection) -> None:
    """The session's server writes nothing durably: a test's data is worth nothing after a power cut."""
    settings = ("fsync", "synchronous_commit", "full_page_writes")

    said = [await connection.fetchval("SELECT current_setting($1)", name) for name in settings]

    assert ["off"] * 3 == said
