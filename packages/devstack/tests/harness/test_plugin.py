"""The plugin in a pytest run of its own: what it promises each test, and what it costs where nobody asks."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sherpa.config import DatabaseSettings
from sherpa.devstack.harness.worker import PostgresCluster

# Every test spoils all that it can, and expects to find nothing of the others.
SPOILERS = """
    import pytest
    import redis

    EVENT = '''
        INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload)
        VALUES ('membership', gen_random_uuid(), 'membership.created', '{}')
    '''

    async def is_untouched(connection):
        rows = await connection.fetchval("SELECT count(*) FROM outbox")
        tables = await connection.fetchrow("SELECT to_regclass('memberships'), to_regclass('extra')")
        return (rows, *tables) == (0, "memberships", None)

    @pytest.mark.parametrize("number", range(12))
    async def test_rows(connection, number):
        assert await is_untouched(connection)
        await connection.execute(EVENT)

    @pytest.mark.parametrize("number", range(6))
    async def test_tables(connection, number):
        assert await is_untouched(connection)
        await connection.execute("CREATE TABLE extra (id int); DROP TABLE memberships CASCADE")

    @pytest.mark.parametrize("number", range(6))
    async def test_rollback(rollback_connection, number):
        assert await is_untouched(rollback_connection)
        await rollback_connection.execute(EVENT)
        await rollback_connection.execute("CREATE TABLE extra (id int)")

    @pytest.mark.asyncio(loop_scope="session")
    @pytest.mark.parametrize("number", range(6))
    async def test_kept(kept_connection, number):
        assert await is_untouched(kept_connection)
        await kept_connection.execute(EVENT)
        await kept_connection.execute("CREATE TEMPORARY TABLE mine (id int); SET search_path = 'elsewhere'")
        await kept_connection.execute("BEGIN")

    @pytest.mark.parametrize("number", range(6))
    async def test_pool(database, number):
        async with database.connection() as connection:
            assert await is_untouched(connection)
            await connection.execute(EVENT)

    @pytest.mark.parametrize("number", range(4))
    async def test_empty(empty_database_settings, number):
        import asyncpg
        connection = await asyncpg.connect(empty_database_settings.url.reveal(), ssl=False)
        assert [] == await connection.fetch("SELECT * FROM pg_tables WHERE schemaname = 'public'")
        await connection.execute("CREATE TABLE extra (id int)")
        await connection.close()

    @pytest.mark.parametrize("number", range(6))
    def test_redis(redis_url, number):
        with redis.Redis.from_url(redis_url) as client:
            assert 0 == client.dbsize()
            client.set("key", "value")
"""
PASSES = "def test_passes(database_settings): pass"


def test_no_test_sees_anothers_data(suite: Any) -> None:
    """Tests that spoil all they can pass in any order, with workers and without, in two runs at once."""
    suite.write(test_spoilers=SPOILERS)

    with suite.start("-q", "-p", "no:xdist") as one, suite.start("-q", "-n", "2", "--dist", "load") as two:
        outputs = [process.communicate(timeout=100)[0] for process in (one, two)]

    assert [True, True] == ["46 passed" in output for output in outputs], outputs
    assert ([], []) == (suite.sessions(), suite.processes())


def test_collecting_starts_nothing(suite: Any) -> None:
    """To list tests takes no server, and no folder."""
    suite.write(test_it=PASSES)

    code, _ = suite.run("--collect-only")

    assert (0, []) == (code, suite.sessions())


def test_tests_without_a_database_pay_for_nothing(suite: Any) -> None:
    """Where nobody asks, no server starts, no driver is imported, and no setting of a developer's gets in."""
    suite.write(
        test_it="""
        import os
        import sys

        def test_without_a_database():
            heavy = {"asyncpg", "piccolo", "psutil", "sherpa.config", "sherpa.db", "valkey"}
            assert set() == heavy & set(sys.modules)
            assert None is os.environ.get("DATABASE_URL") is os.environ.get("PGHOST")
        """
    )

    code, output = suite.run("-q", "-n", "1", DATABASE_URL="postgresql://u@h/d", PGHOST="elsewhere")

    assert (0, []) == (code, suite.sessions()), output


async def test_superuser_for_those_who_ask(
    postgres_cluster: PostgresCluster, database_settings: DatabaseSettings
) -> None:
    """The cluster itself is there for tests that need more than a database of their own."""
    settings = postgres_cluster.superuser_settings(database_settings.url.database)
    connection = await asyncpg.connect(settings.url.reveal(), ssl=False)

    is_superuser = await connection.fetchval("SELECT usesuper FROM pg_user WHERE usename = CURRENT_USER")
    await connection.close()

    assert (True, postgres_cluster.port) == (is_superuser, settings.url.port)
    assert settings.url.username != postgres_cluster.settings("postgres").url.username


async def test_pool_is_as_small_as_a_test(database_settings: DatabaseSettings) -> None:
    """A test's pool opens one connection and no more than it uses, without asking for TLS."""
    assert (1, 5, "disable") == (
        database_settings.min_connections,
        database_settings.max_connections,
        database_settings.ssl_mode,
    )


def test_forgotten_sessions_are_reported(suite: Any) -> None:
    """At the end of the run stands which test left a session open, and what it did."""
    suite.write(
        test_it="""
        import subprocess
        import sys
        import pytest

        CHILD = [sys.executable, "-c", '''
        import asyncio, asyncpg, sys
        async def main():
            held = await asyncpg.connect(sys.argv[1], server_settings={"application_name": "culprit"})
            print("open", flush=True)
            await asyncio.sleep(20)
        asyncio.run(main())
        '''.replace("\\n        ", "\\n")]

        @pytest.fixture(scope="session")
        def children():
            children = []
            yield children
            for child in children:
                child.kill()
                child.communicate()

        def test_leaves(children, database_settings):
            url = database_settings.url.reveal()
            children.append(subprocess.Popen([*CHILD, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            assert b"open\\n" == children[0].stdout.readline()
        """
    )

    code, output = suite.run("-q", "-n", "1")

    assert (0, True) == (code, "test_it.py::test_leaves\n  culprit (idle): " in output), output


@pytest.mark.parametrize("inherited", [signal.SIG_DFL, signal.SIG_IGN])
@pytest.mark.parametrize("workers", ["0", "2"])
def test_interrupt_leaves_nothing(workers: str, inherited: signal.Handlers, suite: Any) -> None:
    """Ctrl-C in the middle of a test stops the servers and removes their files, in a script's job, too."""
    suite.write(
        test_it="""
        import pathlib, time

        def test_waits(database_settings):
            pathlib.Path("waiting").touch()
            time.sleep(60)
        """
    )
    before = signal.signal(signal.SIGINT, inherited)
    run = suite.start("-n", workers)
    signal.signal(signal.SIGINT, before)
    with run as process:
        _wait_for(suite.folder / "waiting")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.communicate(timeout=60)

    assert (2, [], []) == (process.returncode, suite.sessions(), suite.processes())


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
