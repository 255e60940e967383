"""The effective settings as people and programs read them: each variable, its value, and its origin."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from sherpa.config.declaration import variables_of
from sherpa.config.errors import Fault
from sherpa.config.examination import Entry, examine
from sherpa.config.notices import notices
from sherpa.config.sections import OPTIONAL, SECTIONS
from sherpa.config.sources import Sources


@dataclass(frozen=True, slots=True)
class Report:
    """The entries by section, faults and notices. `absent` names the sections of which nothing is set."""

    entries: Mapping[str, tuple[Entry, ...]]
    absent: frozenset[str]
    faults: tuple[Fault, ...]
    notices: tuple[str, ...]


def report(sources: Sources, asked: Iterable[str] = ()) -> Report:
    """Examine the sections `asked` for, or else all: an optional one only once a part of it is set."""
    shown = tuple(asked) or tuple(SECTIONS)
    absent = frozenset() if asked else frozenset(name for name in OPTIONAL if not _begun(name, sources))
    present = examine([SECTIONS[name] for name in shown if name not in absent], sources)
    # Absent sections are shown with their defaults, but what they lack is no fault.
    missing = examine([SECTIONS[name] for name in shown if name in absent], sources)
    return Report(
        {name: (missing if name in absent else present).of(SECTIONS[name]) for name in shown},
        absent,
        present.faults,
        notices(sources),
    )


def _begun(name: str, sources: Sources) -> bool:
    found = (sources.find(variable.name) for variable in variables_of(SECTIONS[name]))
    return any(place.text or place.problem for place in found)


def as_json(result: Report) -> dict[str, object]:
    """Return the report as plain values: `sections`, `absent`, `faults`, `warnings`."""
    return {
        "sections": {
            section: {entry.variable.name: _as_json(entry) for entry in entries}
            for section, entries in result.entries.items()
        },
        "absent": sorted(result.absent),
        "faults": [asdict(fault) for fault in result.faults],
        "warnings": list(result.notices),
    }


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "value": entry.shown or None,
        "origin": entry.origin,
        "secret": entry.variable.kind.secret,
        "sound": not entry.wrong,
    }


def as_text(result: Report) -> str:
    """Return the report as a table for the terminal, without the faults."""
    lines: list[str] = []
    for section, entries in result.entries.items():
        lines.append(f"{section} (absent)" if section in result.absent else section)
        lines += [f"  {e.variable.name:<34}{e.shown or '-':<58}{e.origin}" for e in entries]
    return "\n".join(lines)
