"""Servers that somebody else runs: waited for, migrated only when that is safe, never stopped."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sherpa.db.migrations.files import list_files
from sherpa.devstack import ports
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from tests.up.conftest import PATIENCE_SECONDS, Checkout

KNOWN = [file.id for file in list_files()]

# An address of this machine that isn't where we start servers ourselves: to us, a server there is elsewhere.
ELSEWHERE = "127.0.0.2"


class Others:
    """A PostgreSQL and a Redis of other people."""

    def __init__(self, place: Path, name: str) -> None:
        self.postgres = PostgresServer(
            place / "postgres",
            ports.any_free(),
            "theirs",
            name,
            {"listen_addresses": ELSEWHERE},
            durable=False,
            superuser="them",
        )
        self.redis = ValkeyServer(
            place / "valkey", ports.any_free(), options={"bind": f"{ELSEWHERE} 127.0.0.1"}
        )

    def start(self) -> None:
        """Start both."""
        self.postgres.start()
        self.redis.start()

    def are_named_in(self, checkout: Checkout) -> None:
        """Write a `.env` that leads to them."""
        (checkout.root / ".env").write_text(
            f"ENVIRONMENT=development\nSHUTDOWN_DRAIN_SECONDS=0\nHOST=127.0.0.1\nPORT={ports.any_free()}\n"
            f"WORKER_PORT={ports.any_free()}\n"
            f"DATABASE_URL=postgresql://them:theirs@{ELSEWHERE}:{self.postgres.port}/postgres\n"
            f"REDIS_URL=redis://{ELSEWHERE}:{self.redis.port}/0\n"
        )


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the servers' user can reach."""
    directory = Path(tempfile.mkdtemp(prefix="others "))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def others(place: Path) -> Iterator[Others]:
    """Servers with a name as a system's own have it."""
    servers = Others(place, "16/main")
    yield servers
    servers.postgres.stop()
    servers.redis.stop()


def test_waits_migrates_and_leaves_them_running(checkout: Checkout, others: Others) -> None:
    """Late servers are waited for, an empty database is migrated, and `down --volumes` stops nothing."""
    others.are_named_in(checkout)
    run = checkout.begin("up")
    checkout.await_turn(run)
    others.start()

    said, _ = run.communicate(timeout=PATIENCE_SECONDS)
    status = checkout.status()
    assert checkout.inv("down", "--volumes").returncode == 0

    assert run.returncode == 0, said
    assert "backend: external" in said
    assert status["well"] is True
    assert others.postgres.state().alive
    assert others.redis.state().alive
    assert str(len(list_files())) in checkout.query("SELECT count(*) FROM migration")


def test_foreign_tables_are_not_migrated(checkout: Checkout, others: Others) -> None:
    """A database with tables of somebody else is refused and left as it was."""
    others.start()
    others.are_named_in(checkout)
    checkout.query("CREATE TABLE theirs (id int)")

    failed = checkout.inv("up", "--no-api")

    assert failed.returncode == 1
    assert "seems to be somebody else's" in failed.stderr
    assert "uv run inv migrate" in failed.stderr
    assert "theirs" not in failed.stderr
    assert "1" in checkout.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_foreign_history_is_told(checkout: Checkout, others: Others) -> None:
    """A table `migration` of somebody else's is named, with where to look, by each command that meets it."""
    others.start()
    others.are_named_in(checkout)
    checkout.query("CREATE TABLE migration (version int)")

    failed = [checkout.inv(command) for command in ("up", "status", "doctor")]

    assert [4, 4, 4] == [each.returncode for each in failed]
    assert all("`migration` in this database is not our table" in each.stderr for each in failed)
    assert not any("Traceback" in each.stderr for each in failed)


def test_production_is_not_migrated(checkout: Checkout, others: Others) -> None:
    """Outside development `up` leaves the schema alone and says how it is migrated."""
    others.start()
    others.are_named_in(checkout)
    checkout.replace("ENVIRONMENT=development", "ENVIRONMENT=staging")

    said = checkout.up("--no-api")
    failed = checkout.inv("up")

    assert f"{len(KNOWN)} migrations pending; to apply them: inv migrate" in said
    assert failed.returncode == 1
    assert f"lacks {', '.join(KNOWN)}: the API and the worker can't get ready" in failed.stderr
    assert "0" in checkout.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")


def test_another_stack_elsewhere_is_refused(checkout: Checkout, place: Path) -> None:
    """A server that carries another checkout's identity is refused, wherever it is."""
    others = Others(place, "choice-sherpa-0123456789")
    others.start()
    others.are_named_in(checkout)

    failed = checkout.inv("up", "--no-api")

    others.postgres.stop()
    others.redis.stop()
    assert failed.returncode == 1
    assert "belongs to another stack (choice-sherpa-0123456789)" in failed.stderr


def test_wrong_login_is_told_at_once(checkout: Checkout, others: Others) -> None:
    """A server elsewhere that refuses us isn't waited for; the variable is named, the password isn't."""
    others.start()
    others.are_named_in(checkout)
    checkout.replace("them:theirs@", "them:mistaken@")

    failed = checkout.inv("up", "--no-api")

    assert failed.returncode == 1
    assert "refuses us" in failed.stderr
    assert "Correct DATABASE_URL in .env" in failed.stderr
    assert "mistaken" not in failed.stderr


def test_nothing_is_started_for_them(checkout: Checkout, others: Others) -> None:
    """With everything elsewhere, no server of ours runs on this machine."""
    others.start()
    others.are_named_in(checkout)
    checkout.up("--no-api")

    identity = checkout.status()["identity"]
    named = [each for each in psutil.process_iter(["cmdline"]) if identity in str(each.info["cmdline"])]

    assert [] == named
