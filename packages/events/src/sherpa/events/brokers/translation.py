"""What redis-py raises, as this package's errors: one table from the first word of the server's answer."""

import ssl

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    NoPermissionError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from sherpa.events.errors import (
    BrokerError,
    BrokerFullError,
    BrokerRefusedError,
    BrokerUnavailableError,
    FencedError,
    NoGroupError,
)

ERRORS = (RedisError, RedisClusterException, OSError)
"""What a call to redis-py may raise, when it is the server or the way to it that fails."""

_CREDENTIALS = "correct the user and the password in REDIS_URL"
_REFUSED = {
    "NOAUTH": _CREDENTIALS,
    "WRONGPASS": _CREDENTIALS,
    "NOPERM": "let the user of REDIS_URL run this command on the keys sherpa:events:* and {sherpa:events:*",
    "WRONGTYPE": "something else has put a value of its own under the key: use another database for events",
}
# The server is on its way to another state, and will answer otherwise when it is there.
_PASSING = (
    *(
        "ASK ",
        "BUSY ",
        "CLUSTERDOWN ",
        "LOADING ",
        "MASTERDOWN ",
        "MISCONF ",
        "MOVED ",
        "NOREPLICAS ",
        "READONLY ",
    ),
    *("TRYAGAIN ", "UNBLOCKED "),
)
_NOT_THE_ONE = frozenset(("READONLY", "LOADING", "MASTERDOWN", "UNBLOCKED"))


def translate(error: Exception, where: str) -> BrokerError:
    """Return our error for one of redis-py's; `where` names the server, without its password."""
    text = str(error).rstrip(".") or type(error).__name__
    word = text.partition(" ")[0]
    if word == "FENCED":
        return FencedError()
    if word == "NOGROUP":
        return NoGroupError()
    if word == "OOM":
        return BrokerFullError(f"The broker at {where} has no room for more: {text}")
    if _is_refusal(error):
        remedy = _REFUSED.get(word, _CREDENTIALS if isinstance(error, AuthenticationError) else "")
        return BrokerRefusedError(f"The broker at {where} refused us: {text}. {_sentence(remedy)}".rstrip())
    return BrokerUnavailableError(f"The broker at {where} can't be used now: {text}.")


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, AuthenticationError | AuthorizationError | InvalidResponse | NoPermissionError):
        return True
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return True
    return isinstance(error, ResponseError) and not str(error).startswith(_PASSING)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def means_another_server(error: Exception) -> bool:
    """Tell whether the server that answered is not, or no more, the one to ask: to be left."""
    return str(error).partition(" ")[0] in _NOT_THE_ONE
