"""The kinds of values a variable may hold: how each is read through environs and what would be right."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from environs import Env, validate

from sherpa.config.directives import LEVELS, LogDirectives
from sherpa.config.errors import InvalidValueError
from sherpa.config.secret import Secret
from sherpa.config.url import ServiceUrl

_ADDRESS = re.compile(r"[^@\s,<>\"]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_HOST_NAME = re.compile(r"[\w.-]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", re.ASCII)
_ORIGIN = re.compile(r"https?://([\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind[T]:
    """How a text becomes a value.

    `name` is the type's name in the docs, `right` completes "right would be …". `read` returns None where
    environs has noted a fault; it may raise InvalidValueError.
    """

    name: str
    right: str
    read: Callable[[Env, str], T | None]
    secret: bool = False


def parsed[T](name: str, right: str, parse: Callable[[str], T], *, secret: bool = False) -> Kind[T]:
    """Return the kind whose text is read by `parse`, which raises InvalidValueError."""

    def read(env: Env, variable: str) -> T | None:
        return parse(env.str(variable))

    return Kind(name, right, read, secret=secret)


def integer(minimum: int, maximum: int | None = None) -> Kind[int]:
    """Return the kind of whole numbers from `minimum` to `maximum`."""
    right = f"a whole number from {minimum} to {maximum}" if maximum else f"a whole number, {minimum} or more"
    check = validate.Range(minimum, maximum)
    return Kind("integer", right, lambda env, name: env.int(_plain(env, name), validate=check))


def seconds(*, zero: bool = False) -> Kind[float]:
    """Return the kind of durations in seconds: positive, or also 0 where that has a meaning."""
    check = validate.Range(0, min_inclusive=zero)
    right = "a number of seconds, 0 or more" if zero else "a number of seconds above 0"
    return Kind("seconds", right, lambda env, name: env.float(_plain(env, name), validate=check))


def boolean() -> Kind[bool]:
    """Return the kind of switches."""
    return Kind("boolean", "true or false", lambda env, name: env.bool(name))


def choice[E: StrEnum](words: type[E]) -> Kind[E]:
    """Return the kind of variables that take one of an enum's words."""
    right = f"one of {', '.join(words)}"

    def parse(value: str) -> E:
        if value not in set(words):
            raise InvalidValueError("is none of the known words")
        return words(value)

    return parsed("choice", right, parse)


def text(right: str) -> Kind[str]:
    """Return the kind of one-line texts."""
    return parsed("text", right, _one_line)


def host() -> Kind[str]:
    """Return the kind of addresses to listen on."""
    right = "an IP address or a host name, such as 127.0.0.1"
    return parsed("host", right, _host)


def email_address() -> Kind[str]:
    """Return the kind of bare e-mail addresses."""
    right = "an address such as hello@example.com"
    return parsed("address", right, lambda value: _matching(_ADDRESS, value, "is no e-mail address"))


def service_key(prefix: str = "") -> Kind[Secret]:
    """Return the kind of keys handed out by a service, which begin with that service's prefix."""
    right = f"the key that begins with {prefix}" if prefix else "the key, on one line"
    return parsed("secret", right, lambda value: _key(value, prefix), secret=True)


def service_url(*schemes: str, example: str) -> Kind[ServiceUrl]:
    """Return the kind of a service's address, which may hold a password."""
    return parsed("url", f"a URL such as {example}", lambda value: _service(value, schemes), secret=True)


def https_url() -> Kind[str]:
    """Return the kind of public base URLs; a trailing slash is dropped."""
    return parsed("url", "a URL such as https://auth.example.com", _https_url)


def origins() -> Kind[tuple[str, ...]]:
    """Return the kind of lists of browser origins; `*` stands for any."""
    right = "origins such as https://app.example.com, separated by commas, or *"
    return parsed("list", right, lambda value: tuple(_origin(item) for item in _items(value)))


def directives() -> Kind[LogDirectives]:
    """Return the kind of LOG_LEVEL."""
    right = f"levels such as info,sherpa=debug; a level is one of {', '.join(LEVELS)}"
    return parsed("directives", right, LogDirectives.parse)


def _plain(env: Env, name: str) -> str:
    """Return the name, once its text is sure to hold none of the digits and signs that only Python reads."""
    if not re.fullmatch(r"[0-9A-Za-z.+-]*", env.str(name)):
        raise InvalidValueError("not a plain number")
    return name


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise InvalidValueError("contains a line break or a control character")
    return value


def _matching(pattern: re.Pattern[str], value: str, wrong: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidValueError(wrong)
    return value


def _key(value: str, prefix: str) -> Secret:
    if not value.isprintable() or " " in value:
        raise InvalidValueError("contains a space or a control character")
    if not value.startswith(prefix):
        raise InvalidValueError(f"does not begin with {prefix}")
    if value == prefix:
        raise InvalidValueError(f"has nothing after {prefix}")
    return Secret(value)


def _service(value: str, schemes: tuple[str, ...]) -> ServiceUrl:
    url = ServiceUrl.parse(value)
    if url.scheme not in schemes:
        raise InvalidValueError(f"has the scheme {url.scheme}, not {' or '.join(schemes)}")
    return url


def _https_url(value: str) -> str:
    split = _split(value)
    if split is None or split.scheme != "https":
        raise InvalidValueError("is no https:// URL")
    if not _HOST_NAME.fullmatch(split.hostname or "") or "@" in split.netloc:
        raise InvalidValueError("needs a host, and no user or password")
    if split.query or split.fragment:
        raise InvalidValueError("must not have a ? or # part")
    return value.rstrip("/")


def _split(value: str) -> SplitResult | None:
    try:
        split = urlsplit(_one_line(value))
        return split if split.port != 0 else None
    except ValueError:  # its message may quote a password that strayed in here
        return None


def _host(value: str) -> str:
    if re.fullmatch(r"[\d.]+|.*:.*", value) and not _is_address(value):
        raise InvalidValueError("looks like an IP address, but is none")
    return _matching(_HOST_NAME, value, "is no host")


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _origin(item: str) -> str:
    if item == "*":
        return item
    split = _split(item.lower())
    if split is None or not _ORIGIN.fullmatch(item.lower()):
        raise InvalidValueError(
            "holds something that is no origin (scheme and host, no path, no closing slash)"
        )
    return item.lower()
