"""What may go wrong with the local stack. Each error says what happened, where, and what to do next."""

from collections.abc import Collection


class StackError(Exception):
    """The local stack could not do what was asked."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        """The problem, and on a line of its own what to do about it."""
        return f"{self.problem}\n{self.remedy}" if self.remedy else self.problem


class UnusableAccountError(StackError):
    """The servers can't run under this user, or can't reach a place that they need."""


class MissingLibraryError(StackError):
    """A server's program can't be loaded, because a system library is missing."""


class UnsupportedPlatformError(StackError):
    """No embedded server exists for this operating system or processor."""


class ServerFailedError(StackError):
    """A server did not start, or stopped while it was starting."""


class UnusableDataError(StackError):
    """A data directory can't be used by the server that we have."""


class PortTakenError(StackError):
    """Ports that the stack needs are someone else's. `variables` are the settings that name them."""

    def __init__(self, problem: str, *, variables: Collection[str], remedy: str) -> None:
        super().__init__(problem, remedy=remedy)
        self.variables = frozenset(variables)


class ForeignDatabaseError(StackError):
    """A database or server belongs to someone else, so nothing is migrated or written there."""
