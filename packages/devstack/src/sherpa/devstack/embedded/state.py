"""What an embedded server looks like from outside, without asking it."""

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How far a server is."""

    ABSENT = "absent"  # no data directory
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"


@dataclass(frozen=True)
class ServerState:
    """A server's condition, with its process and port while it has them; `started` in seconds since 1970."""

    condition: Condition
    pid: int | None = None
    port: int | None = None
    started: float | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a process."""
        return self.pid is not None
