"""Which part of its life the process is in; the server moves it on, health and the envelope look at it."""

from enum import StrEnum


class Phase(StrEnum):
    """Starting: no dependency is open yet. Draining: still serving, but no longer to be sent requests."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class Lifecycle:
    """The phase of one application."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING

    @property
    def starting(self) -> bool:
        """Whether requests cannot be served yet."""
        return self.phase is Phase.STARTING

    @property
    def draining(self) -> bool:
        """Whether the process has been told to stop."""
        return self.phase is Phase.DRAINING

    def serve(self) -> None:
        """Enter service, unless told to stop meanwhile."""
        if self.starting:
            self.phase = Phase.SERVING

    def drain(self) -> None:
        """Begin to stop; there is no way back."""
        self.phase = Phase.DRAINING
