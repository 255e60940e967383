"""A worker's Redis database: a user that can reach no other, and nothing left in it after each test.

Publish/subscribe channels, scripts and functions belong to the whole server: Redis keeps no databases of them.
"""

import secrets

from sherpa.config import RedisSettings, Secret, ServiceUrl
from sherpa.devstack import ports
from sherpa.devstack.harness.cluster import REDIS_DATABASES, Cluster
from sherpa.devstack.resp import RedisConnection

# Settings, users and the server itself are shared: a test may look, but not change. `db=` shuts FLUSHALL, SWAPDB and
# every other database off; Valkey has it since 9.1.
RIGHTS = ("~*", "&*", "+@all", "-@admin", "-function", "+client", "+config|get")


class NoDatabaseLeftError(Exception):
    """More workers than Redis databases."""


class KeyspaceNotEmptyError(Exception):
    """Something writes in a worker's Redis database while no test runs."""


class Keyspace:
    """One worker's Redis database. `worker` is pytest-xdist's name (gw0) or `main`."""

    def __init__(self, cluster: Cluster, worker: str) -> None:
        self._number = 1 if worker == "main" else int(worker.removeprefix("gw")) + 2
        if self._number >= REDIS_DATABASES:
            raise NoDatabaseLeftError(
                f"Worker {worker}: the test server has {REDIS_DATABASES} Redis databases."
            )
        self._user = worker
        self._password = secrets.token_urlsafe(24)
        self._port = cluster.redis_port
        self._control = RedisConnection(ports.LOOPBACK, cluster.redis_port, password=cluster.redis_password)
        self._control.ask("SELECT", str(self._number))
        self._control.ask(
            "ACL", "SETUSER", worker, "reset", "on", f">{self._password}", *RIGHTS, f"db={self._number}"
        )

    def settings(self) -> RedisSettings:
        """Return settings for this worker's database."""
        url = ServiceUrl(
            scheme="redis",
            host=ports.LOOPBACK,
            port=self._port,
            username=self._user,
            password=Secret(self._password),
            database=str(self._number),
        )
        return RedisSettings(url=url)

    def empty(self) -> None:
        """End the test's connections and remove all keys. Raises KeyspaceNotEmptyError when some remain."""
        self._control.ask("CLIENT", "KILL", "USER", self._user)
        self._control.ask("FLUSHDB", "SYNC")
        if self._control.ask("DBSIZE"):
            raise KeyspaceNotEmptyError(
                f"Redis database {self._number} is being written to between two tests."
            )

    def close(self) -> None:
        """Close the harness's connection."""
        self._control.close()
