"""Takes the text of a service's URL apart, strictly: what is not understood is refused, never guessed.

No message repeats a part of the text: in a malformed URL the password can end up in any of them.
"""

import re
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from sherpa.config.choices import SslMode
from sherpa.config.errors import InvalidValueError
from sherpa.config.secret import Secret

PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}
ENCODE = "in a user name or password write @ : / ? # [ ] % as %40 %3A %2F %3F %23 %5B %5D %25"
# As DNS has it, with the underscores that containers' names may have. Python's resolver raises UnicodeError,
# which nobody expects, for an empty label (a..b) or one that is too long.
HOST_NAME = r"(?=.{1,253}\Z)[\w-]{1,63}(\.[\w-]{1,63})*\.?"
_HOST = re.compile(HOST_NAME, re.ASCII)
_DATABASE_NUMBER = re.compile(r"\d{0,5}", re.ASCII)
_AFTER_BRACKET = re.compile(r"\](:.*)?$")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class UrlParts(NamedTuple):
    """A service's URL in its decoded parts."""

    scheme: str
    host: str
    port: int
    username: str
    password: Secret | None
    database: str
    ssl_mode: SslMode | None


def take_apart(text: str) -> UrlParts:
    """Return the URL's parts, or raise InvalidValueError saying what is wrong with it."""
    split = _split(text)
    # The last @ divides: one in a password that was not encoded makes the user's part odd, not the host.
    user, _, address = split.netloc.rpartition("@")
    username, _, password = user.partition(":")
    return UrlParts(
        scheme=split.scheme,
        host=_host(address),
        port=_port(address, PORTS[split.scheme]),
        username=_decode(username),
        password=Secret(_decode(password)) if password else None,
        database=_database(split),
        ssl_mode=_ssl_mode(split),
    )


def _split(text: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise InvalidValueError("contains a space or a control character")
    if "#" in text:
        raise InvalidValueError(f"contains a bare #: {ENCODE}")
    split = _split_or_none(text)
    if split is None or "://" not in text:
        raise InvalidValueError(f"is no URL: {ENCODE}")
    if split.scheme not in PORTS:
        raise InvalidValueError(f"has a scheme that is none of {', '.join(PORTS)}")
    # A / or ? in a password ends the host early, and leaves the rest of the password in the path.
    if "@" in split.path or "@" in split.query:
        raise InvalidValueError(f"has an @ after its host: {ENCODE}")
    return split


def _split_or_none(text: str) -> SplitResult | None:
    try:
        return urlsplit(text)
    except ValueError:  # its message may quote the user name and the password
        return None


def _host(address: str) -> str:
    name = (address[1:].partition("]")[0] if address.startswith("[") else address.partition(":")[0]).lower()
    if "," in address:
        raise InvalidValueError("names several hosts: give one")
    if "%2f" in name or not address:
        raise InvalidValueError(
            "names no host (a Unix socket is not supported: give a host name or an address)"
        )
    if address.startswith("[") and not (_is_ipv6(name) and _AFTER_BRACKET.search(address)):
        raise InvalidValueError("has brackets around something that is no IPv6 address")
    if not address.startswith("[") and not (_HOST.fullmatch(name) and address.count(":") <= 1):
        raise InvalidValueError(
            f"has a host that is no name and no address (IPv6 goes in brackets): {ENCODE}"
        )
    return name


def _is_ipv6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _port(address: str, default: int) -> int:
    digits = address.rpartition("]")[2].partition(":")[2]
    if not digits:
        return default
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535):
        raise InvalidValueError(f"has a port that is no number from 1 to 65535: {ENCODE}")
    return int(digits)


def _database(split: SplitResult) -> str:
    name = _decode(split.path.removeprefix("/"))
    if split.scheme in {"redis", "rediss"}:
        if not _DATABASE_NUMBER.fullmatch(name):
            raise InvalidValueError("has a path that is no database number")
        return name or "0"
    if not name:
        raise InvalidValueError("names no database after the host")
    if "/" in name:
        raise InvalidValueError("has more than a database's name in its path")
    return name


def _ssl_mode(split: SplitResult) -> SslMode | None:
    if not split.query:
        return None
    key, _, value = split.query.partition("=")
    if split.scheme in {"redis", "rediss"} or key != "sslmode":
        raise InvalidValueError(
            "has options after a ? that are not understood (only PostgreSQL's sslmode is)"
        )
    if value not in set(SslMode):
        raise InvalidValueError(f"has an sslmode that is none of {', '.join(SslMode)}")
    return SslMode(value)


def _decode(part: str) -> str:
    text = unquote(part, errors="replace")
    if _STRAY_PERCENT.search(part) or "\ufffd" in text or "\0" in text:
        raise InvalidValueError(f"has a % that starts no valid escape: {ENCODE}")
    return text
