"""A worker's Redis database: real, empty for each test, and out of every other worker's reach."""

from collections.abc import Iterator

import pytest
import redis

from sherpa.devstack.harness.cluster import REDIS_DATABASES
from sherpa.devstack.harness.keyspace import Keyspace, NoDatabaseLeftError, database_number
from sherpa.devstack.harness.worker import Worker


@pytest.fixture
def keyspace(worker: Worker) -> Iterator[Keyspace]:
    """The Redis database of a worker that exists in this test alone."""
    keyspace = Keyspace(worker.cluster, "gw7")
    yield keyspace
    keyspace.empty()
    keyspace.close()


@pytest.fixture
def neighbour(worker: Worker) -> Iterator[Keyspace]:
    """The Redis database of another worker."""
    keyspace = Keyspace(worker.cluster, "gw8")
    yield keyspace
    keyspace.empty()
    keyspace.close()


@pytest.fixture
def client(keyspace: Keyspace) -> Iterator["redis.Redis"]:
    """A client as a test opens it."""
    with redis.Redis.from_url(keyspace.settings().url.reveal()) as client:
        yield client


def test_keys_are_gone_after_a_test(keyspace: Keyspace, client: "redis.Redis") -> None:
    """What a test has written, the next one doesn't find."""
    client.set("key", "value")
    client.xadd("stream", {"field": "value"})

    keyspace.empty()

    assert 0 == client.dbsize()


def test_neighbours_keys_are_not_seen(keyspace: Keyspace, neighbour: Keyspace, client: "redis.Redis") -> None:
    """Two workers use the same keys without meeting, and one that ends its test leaves the other alone."""
    with redis.Redis.from_url(neighbour.settings().url.reveal()) as other:
        client.set("key", "mine")
        other.set("key", "theirs")

        neighbour.empty()

        assert (b"mine", None) == (client.get("key"), other.get("key"))


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("SELECT", "1"),
        ("SELECT", "0"),
        ("SWAPDB", "9", "10"),
        ("MOVE", "key", "1"),
        ("COPY", "key", "key", "DB", "1"),
        ("EVAL", "return redis.call('SELECT', 1)", "0"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("ACL", "SETUSER", "gw8", "off"),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "NO", "ONE"),
        ("FUNCTION", "FLUSH"),
    ],
    ids=" ".join,
)
def test_the_server_is_out_of_reach(command: tuple[str, ...], client: "redis.Redis") -> None:
    """No command of a test reaches another worker's keys, or a setting that all share."""
    client.set("key", "value")

    with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)permission"):
        client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py leaves this one untyped


def test_forgotten_client_is_disconnected(keyspace: Keyspace, client: "redis.Redis") -> None:
    """A client that waits in the background doesn't take what the next test sends."""
    with redis.Redis.from_url(keyspace.settings().url.reveal()) as forgotten:
        number = forgotten.client_id()

        keyspace.empty()

        assert number not in {int(other["id"]) for other in client.client_list()}


def test_every_worker_has_a_number_of_its_own() -> None:
    """No two workers share a database, and nobody uses the one where a URL without a number leads."""
    numbers = [database_number(worker) for worker in ["main", *(f"gw{n}" for n in range(100))]]

    assert list(range(1, 102)) == sorted(numbers)


def test_worker_too_many_is_refused() -> None:
    """A run with more workers than databases is told so."""
    with pytest.raises(NoDatabaseLeftError, match=str(REDIS_DATABASES)):
        database_number(f"gw{REDIS_DATABASES}")
