"""What is logged, and how a line looks."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.choices import LogFormat
from sherpa.config.declaration import Rule, variable
from sherpa.config.directives import LogDirectives
from sherpa.config.kinds import choice, directives


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """Logging."""

    level: LogDirectives = field(
        default=LogDirectives(),
        metadata=variable(
            "LOG_LEVEL", directives(), "A level for all loggers and, after commas, `logger=level` for some."
        ),
    )
    format: LogFormat = field(
        default=LogFormat.CONSOLE,
        metadata=variable("LOG_FORMAT", choice(LogFormat), "Lines for eyes or for machines."),
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
