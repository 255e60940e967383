"""What may be written to a log: plain values of bounded size, and never a secret.

Nothing here raises, whatever it is given: an object that cannot be shown is shown as such.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import islice

MASK = "***"
LONGEST_TEXT = 8_192
LARGEST_COLLECTION = 100
DEEPEST_NESTING = 6

SECRET_NAMES = frozenset({
    "access_token",
    "api_key",
    "authorization",
    "cookie",
    "id_token",
    "passwd",
    "password",
    "proxy-authorization",
    "refresh_token",
    "secret",
    "set-cookie",
    "token",
    "x-api-key",
})  # fmt: skip

_PLAIN = frozenset({bool, int, float, type(None)})
_PASSWORD_IN_URL = re.compile(rb"(://[^\s/:@\"']*):[^\s/@\"']+@")
_PASSWORD_IN_DSN = re.compile(rb"(?i)(\bpassword\s*=\s*)(?:\\?['\"][^'\"]*['\"]|[^\s'\",;&)]+)")


def plain(value: object, depth: int = 0) -> object:
    """Return `value` as text, number, boolean, None, list or dict; other objects as their `str`.

    Only exact built-in types pass as they are: a subclass of `str` may be a secret that masks itself.
    """
    if type(value) is str:
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
    if type(value) in _PLAIN:
        return value
    try:
        return _plain_object(value, depth)
    except Exception as error:  # noqa: BLE001 — a log call must not fail because of what it was given
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def plain_field(name: str, value: object) -> object:
    """Return the value of one named field, masked when the name says that it is a secret."""
    if name in SECRET_NAMES and value is not None:
        return MASK
    return plain(value)


def make_plain(event: dict[str, object]) -> None:
    """Make an event's fields plain in place, as `plain_field` does; the usual ones cost next to nothing."""
    if not SECRET_NAMES.isdisjoint(event):
        event.update((name, MASK) for name in SECRET_NAMES & event.keys() if event[name] is not None)
    for name, value in event.items():
        kind = type(value)
        if kind not in _PLAIN and (kind is not str or len(str(value)) > LONGEST_TEXT):
            event[name] = plain(value)


def redact(line: bytes) -> bytes:
    """Mask the passwords of URLs and connection strings anywhere in a finished line."""
    if b"://" in line:
        line = _PASSWORD_IN_URL.sub(rb"\1:" + MASK.encode() + b"@", line)
    if b"assword" in line:
        line = _PASSWORD_IN_DSN.sub(rb"\1" + MASK.encode(), line)
    return line


def printable(value: object) -> object:
    """Escape newlines and control characters, which would forge lines or steer the reader's terminal."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def without_surrogates(value: object) -> object:
    """Escape halves of surrogate pairs, which no encoding of Unicode can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_surrogates(entry) for entry in value]
    return value


def _plain_object(value: object, depth: int) -> object:
    if depth >= DEEPEST_NESTING:
        return "…"
    if isinstance(value, Mapping):
        some = islice(value.items(), LARGEST_COLLECTION)
        return {str(key): _plain_entry(str(key), entry, depth) for key, entry in some}
    if isinstance(value, list | tuple | AbstractSet):
        return [plain(entry, depth + 1) for entry in islice(value, LARGEST_COLLECTION)]
    if isinstance(value, int | float):  # such as HTTPStatus.OK
        return value.__pos__()
    if isinstance(value, bytes | bytearray | memoryview):
        return plain(bytes(value[:LONGEST_TEXT]).decode("utf-8", "backslashreplace"))
    return plain(str.__str__(str(value)))


def _plain_entry(key: str, entry: object, depth: int) -> object:
    if key.lower() in SECRET_NAMES and entry is not None:
        return MASK
    return plain(entry, depth + 1)
