"""Redis: where it is, how its pool behaves, how the connection is protected."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.choices import Environment, RedisSslMode, RedisTopology
from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import addresses, choice, integer, seconds, service_key, service_url, text
from sherpa.config.secret import Secret
from sherpa.config.url import ServiceUrl

# The pool makes a place for each connection at once: a slip of the finger must not fill the memory.
MOST_CONNECTIONS = 10_000


def _ssl_mode_fits_scheme(url: ServiceUrl, ssl_mode: RedisSslMode) -> Problem | None:
    wanted = {RedisSslMode.DISABLE: "redis", RedisSslMode.VERIFY_FULL: "rediss"}.get(ssl_mode, url.scheme)
    if url.scheme == wanted:
        return None
    return Problem(
        "REDIS_SSL_MODE",
        f"is {ssl_mode}, but REDIS_URL begins with {url.scheme}://",
        f"a REDIS_URL that begins with {wanted}://, or another REDIS_SSL_MODE",
    )


def _tls(url: ServiceUrl, ssl_mode: RedisSslMode, environment: Environment) -> Problem | None:
    encrypted = url.scheme == "rediss" or ssl_mode is not RedisSslMode.PREFER
    if environment is not Environment.PRODUCTION or encrypted:
        return None
    return Problem(
        "REDIS_URL",
        "is without TLS, and production requires it",
        "a URL that begins with rediss://; or REDIS_SSL_MODE=disable, which switches TLS off by name",
    )


def _sentinel_master_named(topology: RedisTopology, sentinel_master: str) -> Problem | None:
    if bool(sentinel_master) is (topology is RedisTopology.SENTINEL):
        return None
    if sentinel_master:
        return Problem(
            "REDIS_SENTINEL_MASTER",
            f"is set, but REDIS_TOPOLOGY is {topology}",
            "REDIS_TOPOLOGY=sentinel, or no REDIS_SENTINEL_MASTER",
        )
    return Problem(
        "REDIS_SENTINEL_MASTER",
        "is not set, and REDIS_TOPOLOGY is sentinel",
        "the name by which the Sentinels know the primary, such as mymaster",
    )


def _nodes_fit_topology(topology: RedisTopology, nodes: tuple[str, ...]) -> Problem | None:
    if topology is not RedisTopology.STANDALONE or not nodes:
        return None
    return Problem(
        "REDIS_NODES",
        "names more servers, but REDIS_TOPOLOGY is standalone",
        "REDIS_TOPOLOGY=sentinel or cluster, or no REDIS_NODES",
    )


def _cluster_has_one_database(topology: RedisTopology, url: ServiceUrl) -> Problem | None:
    if topology is not RedisTopology.CLUSTER or url.database == "0":
        return None
    return Problem("REDIS_URL", "names a database, and a cluster has but 0", "a URL that ends with the port")


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Redis."""

    url: ServiceUrl = field(
        metadata=variable(
            "REDIS_URL",
            service_url(
                "redis", "rediss", example="redis://host:6379/0 or rediss://user:password@host:6379/0"
            ),
            "Where Redis is and which of its databases is ours; rediss:// is with TLS.",
        )
    )
    pool_size: int = field(
        default=10,
        metadata=variable(
            "REDIS_POOL_SIZE", integer(1, MOST_CONNECTIONS), "Connections the pool opens at most."
        ),
    )
    timeout_seconds: float = field(
        default=5.0,
        metadata=variable(
            "REDIS_TIMEOUT_SECONDS", seconds(), "How long to wait for a connection or an answer."
        ),
    )
    ssl_mode: RedisSslMode = field(
        default=RedisSslMode.PREFER,
        metadata=variable(
            "REDIS_SSL_MODE",
            choice(RedisSslMode),
            "prefer: the URL's scheme decides. verify-full: it must be rediss://. disable: no TLS, by name.",
        ),
    )
    topology: RedisTopology = field(
        default=RedisTopology.STANDALONE,
        metadata=variable(
            "REDIS_TOPOLOGY",
            choice(RedisTopology),
            "How the servers of events are arranged. sentinel: REDIS_URL and REDIS_NODES are the Sentinels,"
            " the URL's user, password and database the primary's. cluster: they are some of its nodes.",
        ),
    )
    nodes: tuple[str, ...] = field(
        default=(),
        metadata=variable(
            "REDIS_NODES", addresses(), "More Sentinels or nodes, should the one of REDIS_URL be away."
        ),
    )
    sentinel_master: str = field(
        default="",
        metadata=variable(
            "REDIS_SENTINEL_MASTER", text("a name such as mymaster"), "What the Sentinels call the primary."
        ),
    )
    sentinel_password: Secret | None = field(
        default=None,
        metadata=variable(
            "REDIS_SENTINEL_PASSWORD", service_key(), "The Sentinels' own password, if they have one."
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        _ssl_mode_fits_scheme,
        _tls,
        _sentinel_master_named,
        _nodes_fit_topology,
        _cluster_has_one_database,
    )

    @property
    def servers(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each server that is named: the one in the URL, then the further ones."""
        further = (address.rpartition(":") for address in self.nodes)
        return (
            (self.url.host, self.url.port),
            *((host.strip("[]"), int(port)) for host, _, port in further),
        )
