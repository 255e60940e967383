"""The checkout's `.env`: written once from `.env.example`, and from then on the one truth.

Later runs never rewrite it, but for the port numbers when `inv up --reassign-ports` asks for it.
"""

import os
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sherpa.devstack import ports
from sherpa.devstack.errors import StackError
from sherpa.devstack.stack import OURS

PASSWORD_BYTES = 24
# Of what a file need not name.
DEFAULT_APP_PORTS = {"PORT": 8080, "WORKER_PORT": 8081}
# Which variable holds each port. The order is the one in which free ports are given out.
VARIABLES = ("DATABASE_URL", "REDIS_URL", "PORT", "WORKER_PORT")

_HOST_AND_PORT = re.compile(r"^(?P<scheme>[a-z]+://)(?P<user>[^@/\s]*@)?(?P<host>[^:/?#\s@]+)(?P<port>:\d+)?")
_DEFAULT_PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}


@dataclass(frozen=True)
class Move:
    """A port that was given another number, and why."""

    variable: str
    before: int
    after: int
    holder: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.variable}: port {self.before} is taken by {self.holder}; using {self.after}"


def path_of(root: Path) -> Path:
    """Where the checkout's `.env` is."""
    return root / ".env"


def create(root: Path) -> tuple[Move, ...] | None:
    """Write `.env` if there is none: mode 0600, a password of its own, free ports. None: there is one.

    Raises StackError when `.env.example` can't be read or `.env` can't be written.
    """
    target = path_of(root)
    if target.exists():
        return None
    text = _with_password(_read(root / ".env.example"), secrets.token_urlsafe(PASSWORD_BYTES))
    text, moves = _move(text, {variable for variable in VARIABLES if _is_taken(text, variable)})
    _write(target, text)
    return moves


def reassign(root: Path, variables: Collection[str], *, skip: int = 0) -> tuple[Move, ...]:
    """Give these variables free ports, in `.env` itself; every other character of it stays.

    `skip` leaves out as many numbers above the present one.
    """
    target = path_of(root)
    text, moves = _move(_read(target), variables, skip)
    if moves:
        _write(target, text)
    return moves


def port_in(text: str, variable: str) -> int | None:
    """The port on this machine that a variable names in the text of an `.env`; None when it names none."""
    value = _value(text, variable)
    if value is None:
        return DEFAULT_APP_PORTS.get(variable)
    if value.isdigit():
        return int(value)
    found = _HOST_AND_PORT.match(value)
    if found is None or found["host"] not in OURS:
        return None
    return int(found["port"][1:]) if found["port"] else _DEFAULT_PORTS.get(found["scheme"][:-3])


def _is_taken(text: str, variable: str) -> bool:
    port = port_in(text, variable)
    return port is not None and not ports.is_free(port)


def _move(text: str, variables: Collection[str], skip: int = 0) -> tuple[str, tuple[Move, ...]]:
    """Write free ports into the text. No two variables get the same one, nor one that another of them has."""
    moves = []
    for variable in VARIABLES:
        before = port_in(text, variable)
        if variable not in variables or before is None:
            continue
        others = [port for other in VARIABLES if other != variable and (port := port_in(text, other))]
        after = ports.next_free(before + 1 + skip, avoid=others)
        text = _replace(text, variable, after)
        moves.append(Move(variable, before, after, ports.holder(before)))
    return text, tuple(moves)


def _line(variable: str) -> re.Pattern[str]:
    return re.compile(
        rf"^(?P<name>[ \t]*(?:export[ \t]+)?{variable}[ \t]*=[ \t]*['\"]?)(?P<value>[^\s'\"#]*)", re.MULTILINE
    )


def _value(text: str, variable: str) -> str | None:
    found = _line(variable).findall(text)
    # As in every reader of such files, the last line wins.
    return found[-1][1] if found else None


def _replace(text: str, variable: str, port: int) -> str:
    def with_port(line: re.Match[str]) -> str:
        value = line["value"]
        if value.isdigit():
            return f"{line['name']}{port}"
        return line["name"] + _HOST_AND_PORT.sub(
            lambda url: f"{url['scheme']}{url['user'] or ''}{url['host']}:{port}", value
        )

    text, count = _line(variable).subn(with_port, text)
    return text if count else f"{text.rstrip('\n')}\n{variable}={port}\n"


def _with_password(text: str, password: str) -> str:
    def with_password(line: re.Match[str]) -> str:
        return line["name"] + re.sub(r"^(\w+://[^:@/]+):[^@/]*@", rf"\1:{password}@", line["value"])

    return _line("DATABASE_URL").sub(with_password, text)


def _read(file: Path) -> str:
    try:
        # Line ends stay as they are.
        with file.open(encoding="utf-8", newline="") as text:
            return text.read()
    except (OSError, UnicodeDecodeError) as error:
        remedy = (
            "Get it back: git checkout .env.example" if file.name == ".env.example" else "Make it readable."
        )
        raise StackError(f"{file} can't be read: {_reason(error)}.", remedy=remedy) from error


def _write(target: Path, text: str) -> None:
    """Replace the file as a whole, readable for its owner only: nobody ever sees half of it."""
    work = target.with_name(f".env.{os.getpid()}.new")
    try:
        work.unlink(missing_ok=True)
        with os.fdopen(
            os.open(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            file.write(text)
        work.replace(target)
    except OSError as error:
        raise StackError(
            f"{target} can't be written: {_reason(error)}.",
            remedy="Check that the folder is writable and that the disk has room (df -h).",
        ) from error


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
