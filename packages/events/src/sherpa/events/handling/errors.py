"""What may go wrong while a handler runs, beside the handler's own errors."""

from typing import Final

from sherpa.db.errors import DatabaseUnavailableError, TransactionEndedError
from sherpa.events.errors import EventsError, UnreadableEventError


class InvalidHandlersError(EventsError):
    """The handlers can't run as they are declared: correct the declarations."""


class PermanentError(EventsError):
    """The handler says that trying this event again can't help: it is a dead letter at once.

    For handlers to raise, as it is or as a class of their own: `raise PermanentError("…") from error`. What
    passes, or what an operator mends, is any other error.
    """


class HandlerTimeoutError(EventsError):
    """The handler took longer than its timeout_seconds, and was stopped: make it faster, or allow more."""


class HandlerCancelledError(EventsError):
    """The handler cancelled itself; what it did is rolled back."""


class ProcessDiedError(EventsError):
    """The process died each time that it ran this event: mend the handler, then retry the event."""


class SessionLostError(EventsError):
    """The database session ended under the work, and with it the right to do it: begin anew."""


class NotAllowedError(DatabaseUnavailableError):
    """PostgreSQL lets our role not do what handling an event needs, whichever event it is."""


NOT_THE_EVENTS: Final = (SessionLostError, DatabaseUnavailableError)
"""What no event is to blame for: it is begun anew when the database can, and counts as no attempt."""

HOPELESS: Final = (PermanentError, ProcessDiedError, TransactionEndedError, UnreadableEventError)
"""What would end the same way each time: the event is dead, whatever attempts its handler declares."""
