"""The address of PostgreSQL or Redis as one value, whose password shows only when asked for by name."""

from typing import Self, TypedDict, Unpack
from urllib.parse import quote

from sherpa.config.choices import SslMode
from sherpa.config.errors import InvalidValueError
from sherpa.config.sealed import Sealed
from sherpa.config.secret import MASK, Secret
from sherpa.config.urlparts import UrlParts, take_apart


class UrlChanges(TypedDict, total=False):
    """What `ServiceUrl.replace` takes: any of the parts."""

    scheme: str
    host: str
    port: int
    username: str
    password: Secret | None
    database: str
    ssl_mode: SslMode | None


class ServiceUrl(Sealed):
    """Where a service is and who we are there: `postgresql://user:password@host:5432/database`.

    Parts are decoded (no %40), the port is always there, `database` has no leading slash. `str()` and
    `repr()` mask the password; `reveal()` gives the whole URL, encoded, for the client library.
    """

    __slots__ = ("database", "host", "password", "port", "scheme", "ssl_mode", "username")
    scheme: str
    host: str
    port: int
    username: str
    password: Secret | None
    database: str
    ssl_mode: SslMode | None

    def __init__(
        self,
        *,
        scheme: str,
        host: str,
        port: int,
        username: str = "",
        password: Secret | None = None,
        database: str = "",
        ssl_mode: SslMode | None = None,
    ) -> None:
        parts = UrlParts(scheme, host, port, username, password, database, ssl_mode)
        # The class refuses assignment, to itself too.
        for name, value in parts._asdict().items():
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a `postgresql://`, `postgres://`, `redis://` or `rediss://` URL.

        Raises InvalidValueError, whose message, chain and frames hold nothing of the text.
        """
        parts = _parts_or_problem(text)
        del text  # a traceback that shows a frame's variables would show the password
        if isinstance(parts, str):
            raise InvalidValueError(parts)
        return cls(**parts._asdict())

    def replace(self, **changes: Unpack[UrlChanges]) -> Self:
        """Return the same address with some parts changed."""
        return type(self)(**{**self._parts()._asdict(), **changes})

    def reveal(self) -> str:
        """Return the whole URL with its password: hand it to the client library and keep it nowhere."""
        return self._spell(quote(self.password.reveal(), safe="") if self.password else "")

    @property
    def path(self) -> str:
        """The database with its slash, as it stands in the URL."""
        return f"/{quote(self.database, safe='')}"

    def __str__(self) -> str:
        return self._spell(MASK if self.password else "")

    def __repr__(self) -> str:
        return f"ServiceUrl('{self}')"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ServiceUrl):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> UrlParts:
        return UrlParts(
            self.scheme, self.host, self.port, self.username, self.password, self.database, self.ssl_mode
        )

    def _spell(self, password: str) -> str:
        user = quote(self.username, safe="") + (f":{password}" if password else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        query = f"?sslmode={self.ssl_mode}" if self.ssl_mode else ""
        return f"{self.scheme}://{user}{'@' if user else ''}{host}:{self.port}{self.path}{query}"


def _parts_or_problem(text: str) -> UrlParts | str:
    """Return the message instead of raising, so that no exception that knew the text is left in the chain."""
    try:
        return take_apart(text)
    except InvalidValueError as problem:
        return str(problem)
