"""What redis-py raises, as this package's errors: each answer of a server has one meaning for us."""

import ssl

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import TimeoutError as NoAnswerError

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

# The server will answer otherwise before long. redis-py has classes for some answers, and takes their first
# word away; the others still begin with it.
_PASSING = (AskError, BusyLoadingError, ClusterDownError, ReadOnlyError, TryAgainError)
_PASSING_WORDS = frozenset(("BUSY", "MISCONF", "NOREPLICAS", "UNBLOCKED"))
_UNREACHED = (NoConnectionError, NoAnswerError, OSError)

_WAY = "Check that it runs there and can be reached from here."
_CREDENTIALS = "Correct the user and the password in REDIS_URL."
_RIGHTS = (
    "Give the user of REDIS_URL the keys sherpa:events:* and {sherpa:events:*, and the commands +@stream"
    " +@scripting +@string +@connection +exists +memory|usage +info +config|get."
)
_SENTINELS = (
    "Compare REDIS_SENTINEL_MASTER and REDIS_SENTINEL_PASSWORD with theirs, unless they are in doubt."
)
_CERTIFICATE = "Use the certificate's host in REDIS_URL, and let this machine trust who issued it."
_OCCUPIED = "Something else uses our keys: give events a database of their own in REDIS_URL."


def translate(error: Exception, where: str) -> BrokerError:
    """Return our error for one of redis-py's; `where` names the server, without its password."""
    text = str(error).rstrip(".") or type(error).__name__
    word = text.partition(" ")[0]
    if word == "FENCED":
        return FencedError()
    if word == "NOGROUP":
        return NoGroupError()
    if isinstance(error, OutOfMemoryError):
        return BrokerFullError(f"The broker at {where} has no room for more: {text}.")
    if _is_refusal(error, word):
        return BrokerRefusedError(
            f"The broker at {where} refused us: {text}. {_remedy(error, word)}".rstrip()
        )
    if isinstance(error, MasterNotFoundError):
        return BrokerUnavailableError(f"The Sentinels at {where} name no primary: {text}. {_SENTINELS}")
    remedy = f" {_WAY}" if isinstance(error, _UNREACHED) and not isinstance(error, _PASSING) else ""
    return BrokerUnavailableError(f"The broker at {where} can't be used now: {text}.{remedy}")


def means_another_server(error: Exception) -> bool:
    """Tell whether the server that answered is not, or no more, the one to ask."""
    moved = isinstance(error, ReadOnlyError | BusyLoadingError | MasterDownError)
    return moved or str(error).startswith("UNBLOCKED ")


def _is_refusal(error: Exception, word: str) -> bool:
    if isinstance(error, AuthenticationError | AuthorizationError | InvalidResponse):
        return True
    if _is_mistrust(error):
        return True
    return isinstance(error, ResponseError) and not (isinstance(error, _PASSING) or word in _PASSING_WORDS)


def _is_mistrust(error: BaseException) -> bool:
    """Tell whether a server's certificate is the reason; Sentinels' reasons are one step farther away."""
    if isinstance(error, MasterNotFoundError) and error.__cause__:
        return _is_mistrust(error.__cause__)
    return isinstance(error.__context__, ssl.SSLCertVerificationError)


def _remedy(error: Exception, word: str) -> str:
    if isinstance(error, AuthenticationError) or word == "WRONGPASS":
        return _CREDENTIALS
    if isinstance(error, NoPermissionError):
        return _RIGHTS
    if _is_mistrust(error):
        return _CERTIFICATE
    return _OCCUPIED if word == "WRONGTYPE" else ""
