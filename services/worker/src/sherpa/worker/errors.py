"""What may go wrong in the worker itself: refusals to start."""


class WorkerError(Exception):
    """The root of this package's errors."""


class StartupError(WorkerError):
    """The process cannot start; the message says what happened and what to do next, without secrets."""

    exit_code = 1


class PortTakenError(StartupError):
    """Another process listens where this one is to; who waits for the port may start this one again."""

    exit_code = 3


class WrongSettingsError(WorkerError):
    """Settings and code do not go together: correct one of them, since trying again will not help."""
