"""One pytest process and what it holds of its session: servers, databases, the thread that minds them."""

import contextlib
from contextlib import AbstractAsyncContextManager
from functools import cached_property

import asyncpg

from sherpa.config import DatabaseSettings
from sherpa.devstack.harness import cluster as clusters
from sherpa.devstack.harness import connections, kept, leftovers, place, template
from sherpa.devstack.harness.background import Background
from sherpa.devstack.harness.cluster import Cluster
from sherpa.devstack.harness.connections import KeptConnection
from sherpa.devstack.harness.databases import Databases, Lease, Returned
from sherpa.devstack.harness.keyspace import Keyspace
from sherpa.devstack.harness.maintenance import EMPTY, LOST, Maintenance
from sherpa.devstack.harness.session import Session


class Worker:
    """A process of a session. Making one cleans up, and starts the session's servers unless another did."""

    def __init__(self, session: Session, name: str) -> None:
        self.session = session
        self._name = name
        self._alive = session.join()
        try:
            self.cluster = _obtain_cluster(session)
        except BaseException:
            self._alive.close()
            raise
        self._background = Background()
        self._maintenance = Maintenance(self.cluster, name, self._background)
        self._lease: Lease | None = None
        self._superuser_was_lent = False
        self.kept_connection = KeptConnection()

    @cached_property
    def keyspace(self) -> Keyspace:
        """The worker's Redis database."""
        return Keyspace(self.cluster, self._name)

    @cached_property
    def _databases(self) -> Databases:
        with self.session.lock():
            made = self._background.run(template.obtain(self.session, self.cluster))
        return Databases(self._maintenance, made)

    def lend(self) -> Lease:
        """Lend a migrated database. Raises what the migrations raise."""
        lease = self._databases.at_hand() or self._background.run(self._databases.lend())
        lease.spared |= self.kept_connection.pids()
        self._lease = lease
        return lease

    def take_back(self, lease: Lease) -> Returned:
        """Take a migrated database back and make it as new."""
        return self._background.run(self._databases.take_back(lease, deep=self._superuser_was_lent))

    def lend_empty(self) -> Lease:
        """Lend a database with nothing in it."""
        return Lease(self._background.run(self._maintenance.make(EMPTY)))

    def take_back_empty(self, lease: Lease) -> None:
        """Drop a database that was empty once."""
        if not lease.is_kept:
            self._background.run(self._maintenance.drop_later(lease.database))

    def connected(self, lease: Lease) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Open a connection in the test's own loop."""
        return connections.connected(self.settings(lease.database))

    def rolled_back(self, lease: Lease) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Open a connection in the test's own loop, whose transaction is rolled back at the end."""
        return connections.rolled_back(self.cluster.settings(lease.database), lease)

    def settings(self, database: str) -> DatabaseSettings:
        """Return settings for a database, as the role of tests."""
        self._open(database)
        return self.cluster.settings(database)

    def superuser_settings(self, database: str) -> DatabaseSettings:
        """Return settings for the superuser. From now on, proofs look at what only that can change, too."""
        self._superuser_was_lent = True
        self._open(database)
        return self.cluster.superuser_settings(database)

    def _open(self, database: str) -> None:
        """Whoever may connect to the database that is lent may leave something in it."""
        if self._lease and self._lease.database == database:
            self._lease.is_open = True

    def keep(self, lease: Lease, test: str, *, limit: int) -> str:
        """Keep a failed test's database; return the command that opens it, nothing when enough are kept."""
        if not lease.is_kept and kept.reserve(self.session, lease.database, test, limit=limit):
            lease.is_kept = True
            with contextlib.suppress(*LOST):  # the failed test may have ended the server
                self._background.run(self._maintenance.describe(lease.database, f"failed: {test}"))
        return kept.command(self.session, self.cluster, lease.database) if lease.is_kept else ""

    def close(self) -> None:
        """Close all connections and leave the session; its servers stay for the others."""
        try:
            self._background.run(self._close())
        finally:
            self._background.close()
            self._alive.close()

    async def _close(self) -> None:
        # What was never asked for isn't made for being closed.
        if "keyspace" in self.__dict__:
            self.keyspace.close()
        if "_databases" in self.__dict__:
            await self._databases.close()
        await self._maintenance.close()


def _obtain_cluster(session: Session) -> Cluster:
    for other in {session.place, place.in_memory(), place.on_disk()}:
        leftovers.clean(other)
    with session.lock():
        return clusters.obtain(session)


class PostgresCluster:
    """The session's PostgreSQL, for a test that needs more than a database of its own.

    What belongs to the whole cluster is shared with all tests that run now: who makes a role removes it.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return self._worker.cluster.postgres_port

    def settings(self, database: str) -> DatabaseSettings:
        """Return settings for a database as the role of tests."""
        return self._worker.settings(database)

    def superuser_settings(self, database: str = "postgres") -> DatabaseSettings:
        """Return settings for a database as superuser."""
        return self._worker.superuser_settings(database)
