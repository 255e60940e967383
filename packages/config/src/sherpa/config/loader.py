"""`load`: gives a process the sections that it asks for, or one error that says everything that is wrong."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args, get_type_hints

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

    A field `name: Section | None` is None where no variable of the section is set.
    `environ` stands for the process environment, `dotenv` for the file (None: no file). A misspelt variable
    is warned about in the log. Raises ConfigError with all faults at once.
    """
    asked = _sections(wanted)
    sources = Sources.open(os.environ if environ is None else environ, dotenv)
    del environ  # a traceback that shows this frame's variables would show every secret in it
    sections = {name: _present(section, sources) for name, section in asked.items()}
    examination = _examine([section for section in sections.values() if section], sources)
    del sources
    if examination.faults:
        raise ConfigError(examination.faults)
    if wanted in sections.values():
        return examination.build(wanted)
    return wanted(**{name: section and examination.build(section) for name, section in sections.items()})


def _examine(sections: Iterable[type], sources: Sources) -> Examination:
    for notice in notices(sources):
        _log.warning("%s", notice)
    return examine(sections, sources)


def _present(section: type | UnionType, sources: Sources) -> type | None:
    """Return the section; one that may be None only where something of it is set."""
    if isinstance(section, type):
        return section
    (needed,) = (kind for kind in get_args(section) if kind is not NoneType)
    found = (sources.find(variable.name) for variable in variables_of(needed))
    return needed if any(place.text or place.problem for place in found) else None


def _sections(wanted: type) -> Mapping[str, type | UnionType]:
    """Return the sections by the name of the field that takes them."""
    if any(variables_of(wanted)):
        return {"": wanted}
    if not is_dataclass(wanted):
        raise TypeError(f"{wanted.__name__} is neither a section nor a dataclass of sections")
    hints = get_type_hints(wanted)  # a field's own type is text where annotations are postponed
    sections = {field.name: hints[field.name] for field in fields(wanted)}
    for name, section in sections.items():
        if not _is_section(section):
            raise TypeError(f"{wanted.__name__}.{name} is no section of settings")
    return sections


def _is_section(hint: type | UnionType) -> bool:
    kinds = (
        [kind for kind in get_args(hint) if kind is not NoneType] if isinstance(hint, UnionType) else [hint]
    )
    return len(kinds) == 1 and any(variables_of(kinds[0]))
