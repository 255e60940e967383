"""The worker: which of the relay and the handlers it runs, where its health is asked, how it stops."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.declaration import Rule, variable
from sherpa.config.errors import Problem
from sherpa.config.kinds import boolean, host, integer, names, seconds
from sherpa.config.sections.server import EVERY_INTERFACE

NO_HANDLERS = ("none",)


def _something_to_do(*, relay: bool, handlers: tuple[str, ...]) -> Problem | None:
    if relay or handlers != NO_HANDLERS:
        return None
    return Problem(
        "WORKER_HANDLERS",
        "is none, and WORKER_RELAY is false: the worker would have nothing to do",
        "the names of handlers, or WORKER_RELAY=true",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """The worker that relays events and runs their handlers."""

    host: str = field(
        default=EVERY_INTERFACE,
        metadata=variable("WORKER_HOST", host(), "The address on which its health and metrics are asked."),
    )
    port: int = field(
        default=8081,
        metadata=variable("WORKER_PORT", integer(1, 65535), "The port of its health and metrics."),
    )
    relay: bool = field(
        default=True, metadata=variable("WORKER_RELAY", boolean(), "Whether it relays the outbox.")
    )
    handlers: tuple[str, ...] = field(
        default=(),
        metadata=variable(
            "WORKER_HANDLERS", names(), "The handlers that it runs; empty: all of them; none: no handler."
        ),
    )
    expiry_seconds: float = field(
        default=60.0,
        metadata=variable(
            "WORKER_EXPIRY_SECONDS",
            seconds(),
            "How often memberships whose period is over expire; not where WORKER_HANDLERS is none.",
        ),
    )
    grace_seconds: float = field(
        default=25.0,
        metadata=variable(
            "WORKER_GRACE_SECONDS",
            seconds(),
            "How long a stopping worker may take to finish or roll back what runs, and to close.",
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_something_to_do,)
