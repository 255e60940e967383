"""`load`: gives a process the sections that it asks for, or one error that says everything that is wrong."""

import logging
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

from sherpa.config.declaration import variables_of
from sherpa.config.errors import ConfigError
from sherpa.config.examination import Examination, examine
from sherpa.config.notices import notices
from sherpa.config.sources import Sources

# Settings are read before logging is set up: until then Python itself writes warnings to stderr.
_log = logging.getLogger(__name__)


def load[T](
    wanted: type[T], *, environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")
) -> T:
    """Read a section, or a frozen dataclass whose fields are sections, and return it.

    `environ` stands for the process environment, `dotenv` for the file (None: no file). A misspelt variable
    is warned about in the log. Raises ConfigError with all faults at once.
    """
    sections = _sections(wanted)
    examination = _examine(sections, environ, dotenv)
    del environ  # a traceback that shows this frame's variables would show every secret in it
    if examination.faults:
        raise ConfigError(examination.faults)
    if wanted in sections.values():
        return examination.build(wanted)
    return wanted(**{name: examination.build(section) for name, section in sections.items()})


def _examine(
    sections: Mapping[str, type], environ: Mapping[str, str] | None, dotenv: Path | None
) -> Examination:
    sources = Sources.open(os.environ if environ is None else environ, dotenv)
    for notice in notices(sources):
        _log.warning("%s", notice)
    return examine(sections.values(), sources)


def _sections(wanted: type) -> Mapping[str, type]:
    """Return the sections by the name of the field that takes them."""
    if any(variables_of(wanted)):
        return {"": wanted}
    if not is_dataclass(wanted):
        raise TypeError(f"{wanted.__name__} is neither a section nor a dataclass of sections")
    hints = get_type_hints(wanted)  # a field's own type is text where annotations are postponed
    sections = {field.name: hints[field.name] for field in fields(wanted)}
    for name, section in sections.items():
        if not any(variables_of(section)):
            raise TypeError(f"{wanted.__name__}.{name} is no section of settings")
    return sections
