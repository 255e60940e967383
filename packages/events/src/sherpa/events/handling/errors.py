"""What may go wrong while a handler runs, beside the handler's own errors."""

from typing import Final

from sherpa.db.errors import DatabaseUnavailableError
from sherpa.events.errors import EventsError


class InvalidHandlersError(EventsError):
    """The handlers can't run as they are declared: correct the declarations."""


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
