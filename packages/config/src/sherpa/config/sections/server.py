"""The HTTP server: where it listens, how long a request may take, how it stops."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import ClassVar

from sherpa.config.choices import Environment
from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import choice, host, integer, origins, seconds

# Of the grace, what is kept for telling the unfinished, closing the pools and leaving.
_RESERVE_SHARE = 0.2
_LONGEST_RESERVE_SECONDS = 4.0
# A container can be reached in no other way; .env.example says 127.0.0.1.
EVERY_INTERFACE = str(IPv4Address(0))


def _no_wildcard(cors_origins: tuple[str, ...], environment: Environment) -> Problem | None:
    if environment is not Environment.PRODUCTION or "*" not in cors_origins:
        return None
    return Problem(
        "CORS_ORIGINS",
        "lets every site call the API, which production does not allow",
        "the origins of our own front ends",
    )


def _reserve(grace_seconds: float) -> float:
    return min(_LONGEST_RESERVE_SECONDS, grace_seconds * _RESERVE_SHARE)


def _requests_end_before_the_process(
    request_timeout_seconds: float, shutdown_grace_seconds: float, environment: Environment
) -> Problem | None:
    # The drain does not count: a request may come at its very end.
    reserve = _reserve(shutdown_grace_seconds)
    patience = shutdown_grace_seconds - reserve
    if environment is not Environment.PRODUCTION or request_timeout_seconds <= patience:
        return None
    return Problem(
        "REQUEST_TIMEOUT_SECONDS",
        f"lets a request take {request_timeout_seconds:g} s; a stopping process waits {patience:g} s for it",
        f"at most {patience:g}, SHUTDOWN_GRACE_SECONDS less {reserve:g} for closing; or a longer grace",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The HTTP server."""

    environment: Environment = field(
        default=Environment.DEVELOPMENT,
        metadata=variable(
            "ENVIRONMENT", choice(Environment), "Where the process runs; production has stricter rules."
        ),
    )
    host: str = field(
        default=EVERY_INTERFACE,
        metadata=variable("HOST", host(), "The address to listen on."),
    )
    port: int = field(default=8080, metadata=variable("PORT", integer(1, 65535), "The port to listen on."))
    request_timeout_seconds: float = field(
        default=30.0,
        metadata=variable("REQUEST_TIMEOUT_SECONDS", seconds(), "How long a request may take."),
    )
    cors_origins: tuple[str, ...] = field(
        default=(),
        metadata=variable("CORS_ORIGINS", origins(), "The sites whose scripts may call the API."),
    )
    drain_seconds: float = field(
        default=5.0,
        metadata=variable(
            "SHUTDOWN_DRAIN_SECONDS",
            seconds(zero=True),
            "How long a stopping process still takes requests while it says that it is not ready.",
        ),
    )
    shutdown_grace_seconds: float = field(
        default=35.0,
        metadata=variable(
            "SHUTDOWN_GRACE_SECONDS",
            seconds(),
            "After the drain: how long running requests may take and everything is closed.",
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_no_wildcard, _requests_end_before_the_process)

    @property
    def shutdown_reserve_seconds(self) -> float:
        """The end of the grace, in which no request runs any more: a fifth of it, 4 s at most."""
        return _reserve(self.shutdown_grace_seconds)
