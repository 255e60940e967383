"""What may go wrong with events: one root, and leaves that say what happened and what to do next."""

import inspect


class EventsError(Exception):
    """Events could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (inspect.getdoc(type(self)) or type(self).__name__).split("\n\n")[0])


class InvalidEventError(EventsError):
    """The event can't be published as it is: correct it where it is made."""


class UnreadableEventError(EventsError):
    """The entry is no event that this code can read; `reason` says which field, and why."""

    def __init__(self, reason: str = "it is not as the contract says") -> None:
        super().__init__(f"The entry can't be read as an event: {reason}.")
        self.reason = reason


class BrokerError(EventsError):
    """The broker did not do what was asked."""


class BrokerUnavailableError(BrokerError):
    """The broker can't be reached or does not answer: check that it runs and can be reached from here."""


class BrokerRefusedError(BrokerError):
    """The broker answered and refused us: trying again will not help, correct the settings."""


class BrokerFullError(BrokerError):
    """The broker has no room for more: let handlers catch up, or give it more memory."""


class FencedError(BrokerError):
    """The role has been taken by another process since, or the broker has lost its data."""


class NoGroupError(BrokerError):
    """The group is not there: the broker has lost its data, or somebody deleted the group."""
