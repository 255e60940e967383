"""LOG_LEVEL's little language, RUST_LOG's: a level for all loggers, then `logger=level` for some."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from sherpa.config.errors import InvalidValueError

LEVELS: Mapping[str, int] = MappingProxyType(
    {
        "off": logging.CRITICAL + 10,
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "warn": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
        "trace": 5,
    }
)
# For writing: the longer of the two words for 30.
_NAMES = {number: name for name, number in LEVELS.items() if name != "warn"}
_LOGGER = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogDirectives:
    """Levels as numbers of `logging`: `default` for all loggers, `loggers` for those named and below."""

    default: int = logging.INFO
    overrides: tuple[tuple[str, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `info,sherpa=debug,asyncpg=warning`; without a bare level the default is info.

        Raises InvalidValueError for an unknown level, a malformed logger name, or anything said twice.
        """
        items = [item.strip() for item in text.split(",") if item.strip()]
        bare = [_level(item) for item in items if "=" not in item]
        named = [_override(item) for item in items if "=" in item]
        if len(bare) > 1:
            raise InvalidValueError("names two levels for all loggers")
        if len({logger for logger, _ in named}) < len(named):
            raise InvalidValueError("names a logger twice")
        return cls(bare[0] if bare else logging.INFO, tuple(named))

    @property
    def loggers(self) -> Mapping[str, int]:
        """The level of each logger that differs from the default, by name."""
        return MappingProxyType(dict(self.overrides))

    def __str__(self) -> str:
        named = (f"{logger}={_NAMES[level]}" for logger, level in self.overrides)
        return ",".join([_NAMES[self.default], *named])


def _override(item: str) -> tuple[str, int]:
    logger, _, level = (part.strip() for part in item.partition("="))
    if not _LOGGER.fullmatch(logger):
        raise InvalidValueError("has a directive whose logger is no dotted name")
    return logger, _level(level)


def _level(text: str) -> int:
    if text.lower() not in LEVELS:
        raise InvalidValueError("has a level that is not known")
    return LEVELS[text.lower()]
