"""A worker's Redis database: a user that can reach no other, and nothing left in it after each test.

Channels, scripts and functions belong to the whole server, because Redis keeps no databases of them.
"""

import secrets

from sherpa.config import RedisSettings, Secret, ServiceUrl
from sherpa.devstack import ports
from sherpa.devstack.harness.cluster import REDIS_DATABASES, Cluster
from sherpa.devstack.resp import RedisConnection

# Settings, users and the server itself are everyone's: a test may look at them, but not change them. `db=`
# shuts off every other database, also for SWAPDB and FLUSHALL; Valkey has it since 9.1.
RIGHTS = ("~*", "&*", "+@all", "-@admin", "-function", "+client", "+config|get")


class NoDatabaseLeftError(Exception):
    """More workers than Redis databases."""


class KeyspaceNotEmptyError(Exception):
    """Something writes in a worker's Redis database while no test runs."""


class Keyspace:
    """One worker's Redis database. `worker` is pytest-xdist's name for it (gw0), or main."""

    def __init__(self, cluster: Cluster, worker: str) -> None:
        self._number = database_number(worker)
        self._url = ServiceUrl(
            scheme="redis",
            host=ports.LOOPBACK,
            port=cluster.redis_port,
            username=worker,
            password=Secret(secrets.token_urlsafe(24)),
            database=str(self._number),
        )
        self._control = RedisConnection(ports.LOOPBACK, cluster.redis_port, password=cluster.redis_password)
        self._control.ask("SELECT", str(self._number))
        self._make_user()

    def settings(self) -> RedisSettings:
        """Return settings for this worker's database."""
        return RedisSettings(url=self._url)

    def empty(self) -> None:
        """End the test's connections and remove all keys. Raises KeyspaceNotEmptyError if some come back."""
        self._control.ask("CLIENT", "KILL", "USER", self._url.username)
        self._control.ask("FLUSHDB", "SYNC")
        if self._control.ask("DBSIZE"):
            raise KeyspaceNotEmptyError(
                f"Something that a test started still writes in Redis database {self._number}."
            )

    def close(self) -> None:
        """Close the harness's connection."""
        self._control.close()

    def _make_user(self) -> None:
        password = self._url.password.reveal() if self._url.password else ""
        rights = (*RIGHTS, f"db={self._number}")
        self._control.ask("ACL", "SETUSER", self._url.username, "reset", "on", f">{password}", *rights)


def database_number(worker: str) -> int:
    """Return the number of a worker's Redis database; 0, which is anyone's by mistake, is nobody's.

    Raises NoDatabaseLeftError.
    """
    number = 1 if worker == "main" else 2 + int(worker.removeprefix("gw"))
    if number >= REDIS_DATABASES:
        raise NoDatabaseLeftError(f"{worker} is one too many: there are {REDIS_DATABASES} Redis databases.")
    return number
