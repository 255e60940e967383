"""Reads the texts that environs has no parser for. What is not understood is refused, never guessed.

Each raises InvalidValueError, whose message does not repeat the text: a secret may have strayed into it.
"""

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from sherpa.config.errors import InvalidValueError
from sherpa.config.secret import Secret
from sherpa.config.url import ServiceUrl
from sherpa.config.urlparts import HOST_NAME

_ADDRESS = re.compile(r"[^@\s,<>\"]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_HOST = re.compile(rf"{HOST_NAME}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", re.ASCII)
_ORIGIN = re.compile(r"https?://([\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)


def one_line(value: str) -> str:
    """Return the text, which must have neither line breaks nor control characters."""
    if not value.isprintable():
        raise InvalidValueError("contains a line break or a control character")
    return value


def read_email_address(value: str) -> str:
    """Return a bare e-mail address."""
    return _matching(_ADDRESS, value, "is no e-mail address")


def _matching(pattern: re.Pattern[str], value: str, wrong: str) -> str:
    if not pattern.fullmatch(value):
        raise InvalidValueError(wrong)
    return value


def read_key(value: str, prefix: str) -> Secret:
    """Return a service's key, which begins with that service's prefix."""
    # Keys travel in HTTP headers, where anything else would only fail at the first call.
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise InvalidValueError("contains a space, a control character or a letter that is no ASCII")
    if not value.startswith(prefix):
        raise InvalidValueError(f"does not begin with {prefix}")
    if value == prefix:
        raise InvalidValueError(f"has nothing after {prefix}")
    return Secret(value)


def read_service_url(value: str, schemes: tuple[str, ...]) -> ServiceUrl:
    """Return a URL whose scheme is one of those."""
    url = ServiceUrl.parse(value)
    if url.scheme not in schemes:
        raise InvalidValueError(f"has the scheme {url.scheme}, not {' or '.join(schemes)}")
    return url


def read_https_url(value: str) -> str:
    """Return a public base URL without its closing slash."""
    split = _split(value)
    if split is None or split.scheme != "https":
        raise InvalidValueError("is no https:// URL")
    if not _HOST.fullmatch(split.hostname or "") or "@" in split.netloc:
        raise InvalidValueError("needs a host, and no user or password")
    if split.query or split.fragment:
        raise InvalidValueError("must not have a ? or # part")
    return value.rstrip("/")


def _split(value: str) -> SplitResult | None:
    try:
        split = urlsplit(one_line(value))
        return split if split.port != 0 else None
    except ValueError:  # its message may quote a password that strayed in here
        return None


def read_host(value: str) -> str:
    """Return the name or address of an interface to listen on."""
    # 256.1.1.1 is well-formed as a name, and would be asked of DNS at start.
    if re.fullmatch(r"[\d.]+|.*:.*", value) and not _is_address(value):
        raise InvalidValueError("looks like an IP address, but is none")
    return _matching(_HOST, value, "is no host")


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def read_addresses(value: str) -> tuple[str, ...]:
    """Return the addresses of a list with commas: `host:port` each, IPv6 in brackets, in small letters."""
    return tuple(_address(item.strip().lower()) for item in value.split(",") if item.strip())


def _address(item: str) -> str:
    host, colon, port = item.rpartition(":")
    if not (colon and re.fullmatch(r"\d{1,5}", port, re.ASCII) and 1 <= int(port) <= 65535):
        raise InvalidValueError("holds an address without a port from 1 to 65535")
    read_host(host[1:-1] if host.startswith("[") and host.endswith("]") else _without_colon(host))
    return item


def _without_colon(host: str) -> str:
    if ":" in host:
        raise InvalidValueError("holds an IPv6 address without brackets")
    return host


def read_origins(value: str) -> tuple[str, ...]:
    """Return the origins of a list with commas, in small letters."""
    return tuple(_origin(item.strip().lower()) for item in value.split(",") if item.strip())


def read_names(value: str) -> tuple[str, ...]:
    """Return the names of a list with commas, each once."""
    names = tuple(item.strip() for item in one_line(value).split(",") if item.strip())
    if len(set(names)) < len(names):
        raise InvalidValueError("names one twice")
    return names


def _origin(item: str) -> str:
    if item == "*":
        return item
    split = _split(item)
    if split is None or not _ORIGIN.fullmatch(item):
        raise InvalidValueError(
            "holds something that is no origin (scheme and host, no path, no closing slash)"
        )
    return item
