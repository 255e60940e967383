"""What may go wrong in the API itself: refusals to start, and requests that are ended before an answer."""


class ApiError(Exception):
    """The root of this package's errors."""


class StartupError(ApiError):
    """The process cannot start; the message says what happened and what to do next, without secrets."""

    exit_code = 1


class PortTakenError(StartupError):
    """Another process listens where this one is to; who waits for the port may start this one again."""

    exit_code = 3


class RequestError(ApiError):
    """A request is refused or ended; `sherpa.api.problems` says how each is answered."""


class MalformedRequestError(RequestError):
    """The request has not exactly one Host header, which HTTP/1.1 demands."""


class BodyTooLargeError(RequestError):
    """The body is, or says that it is, larger than the limit."""


class BodyBrokenOffError(RequestError):
    """The body is not well-formed, or the client left in the middle of it: servers don't tell which."""


class BodyTooSlowError(RequestError):
    """The body did not arrive within its time."""


class RequestTimedOutError(RequestError):
    """The application did not answer within the request's time."""


class StillStartingError(RequestError):
    """The request came before the dependencies were open."""


class ShuttingDownError(RequestError):
    """The process stops, and its grace is over before the request was."""


class NoAnswerError(ApiError):
    """An endpoint returned without an answer: a fault of ours, told as any unknown error is."""
