"""The kinds of values a variable may hold: how each is read and what would be right."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sherpa.config.directives import LEVELS, LogDirectives
from sherpa.config.errors import InvalidValueError
from sherpa.config.parsers import (
    one_line,
    read_addresses,
    read_email_address,
    read_host,
    read_https_url,
    read_key,
    read_names,
    read_origins,
    read_service_url,
)
from sherpa.config.secret import Secret
from sherpa.config.url import ServiceUrl

if TYPE_CHECKING:
    from sherpa.config.reader import Reader

# Timers overflow somewhere above.
_YEAR_SECONDS = 31_536_000


@dataclass(frozen=True, slots=True)
class Kind[T]:
    """How a text becomes a value.

    `name` is the type's name in the docs, `right` completes "right would be …". `read` returns None where
    the reader has noted a fault; it may raise InvalidValueError.
    """

    name: str
    right: str
    read: Callable[["Reader", str], T | None]
    secret: bool = False


def parsed[T](name: str, right: str, parse: Callable[[str], T], *, secret: bool = False) -> Kind[T]:
    """Return the kind whose text is read by `parse`, which raises InvalidValueError."""

    def read(reader: "Reader", variable: str) -> T | None:
        return parse(reader.text(variable))

    return Kind(name, right, read, secret=secret)


def integer(minimum: int, maximum: int) -> Kind[int]:
    """Return the kind of whole numbers from `minimum` to `maximum`."""

    def read(reader: "Reader", variable: str) -> int | None:
        _require_plain(reader.text(variable))
        return reader.numbers.read_integer(variable, minimum, maximum)

    return Kind("integer", f"a whole number from {minimum} to {maximum}", read)


def seconds(*, zero: bool = False) -> Kind[float]:
    """Return the kind of durations in seconds: positive, or also 0 where that has a meaning."""

    def read(reader: "Reader", variable: str) -> float | None:
        _require_plain(reader.text(variable))
        return reader.numbers.read_number(variable, _YEAR_SECONDS, zero=zero)

    right = f"a number of seconds {'from' if zero else 'above'} 0, up to a year ({_YEAR_SECONDS})"
    return Kind("seconds", right, read)


def share() -> Kind[float]:
    """Return the kind of parts of a whole: above 0, up to 1."""

    def read(reader: "Reader", variable: str) -> float | None:
        _require_plain(reader.text(variable))
        return reader.numbers.read_number(variable, 1, zero=False)

    return Kind("share", "a part of 1 above 0, such as 0.85", read)


def boolean() -> Kind[bool]:
    """Return the kind of switches."""
    return Kind("boolean", "true or false", lambda reader, name: reader.numbers.read_switch(name))


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
    return parsed("text", right, one_line)


def host() -> Kind[str]:
    """Return the kind of addresses to listen on."""
    right = "an IP address or a host name, such as 127.0.0.1"
    return parsed("host", right, read_host)


def email_address() -> Kind[str]:
    """Return the kind of bare e-mail addresses."""
    right = "an address such as hello@example.com"
    return parsed("address", right, read_email_address)


def service_key(prefix: str = "") -> Kind[Secret]:
    """Return the kind of keys handed out by a service, which begin with that service's prefix."""
    right = f"the key that begins with {prefix}" if prefix else "the key, on one line"
    return parsed("secret", right, lambda value: read_key(value, prefix), secret=True)


def service_url(*schemes: str, example: str) -> Kind[ServiceUrl]:
    """Return the kind of a service's address, which may hold a password."""
    return parsed(
        "url", f"a URL such as {example}", lambda value: read_service_url(value, schemes), secret=True
    )


def https_url() -> Kind[str]:
    """Return the kind of public base URLs; a trailing slash is dropped."""
    return parsed("url", "a URL such as https://auth.example.com", read_https_url)


def origins() -> Kind[tuple[str, ...]]:
    """Return the kind of lists of browser origins; `*` stands for any."""
    right = "origins such as https://app.example.com, separated by commas, or *"
    return parsed("list", right, read_origins)


def addresses() -> Kind[tuple[str, ...]]:
    """Return the kind of lists of servers."""
    right = "host:port, separated by commas; IPv6 as [::1]:port"
    return parsed("list", right, read_addresses)


def names() -> Kind[tuple[str, ...]]:
    """Return the kind of lists of names."""
    return parsed("list", "names separated by commas", read_names)


def directives() -> Kind[LogDirectives]:
    """Return the kind of LOG_LEVEL."""
    right = f"levels such as info,sherpa=debug; a level is one of {', '.join(LEVELS)}"
    return parsed("directives", right, LogDirectives.parse)


def _require_plain(number: str) -> None:
    """Raise InvalidValueError for a text that may hold a number which only Python would read."""
    # int() takes 8_0 and ٨٠ for 80; nobody else who reads the same variable does.
    if not re.fullmatch(r"[0-9A-Za-z.+-]*", number):
        raise InvalidValueError("not a plain number")
