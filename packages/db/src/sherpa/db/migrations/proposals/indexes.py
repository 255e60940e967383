"""Indexes built and dropped beside the traffic, by statements that may run twice."""

import re
from typing import Final

from sherpa.db.migrations.proposals.changes import Change, Phase, excused, reading
from sherpa.db.migrations.proposals.sql import readable

_CREATE: Final = re.compile(
    r"CREATE (?P<unique>UNIQUE )?INDEX (?P<name>\"(?:[^\"]|\"\")+\"|\S+) (?P<rest>.*)", re.DOTALL
)
_STATE: Final = re.compile(r"(?: invalid| clustered| replica identity)+$")


def add_index(table: str, definition: str, name: str) -> Change:
    """Build it."""
    return Change(Phase.INDEX, [build(definition)], [remove(name)], reading(table))


def drop_index(table: str, definition: str, name: str) -> Change:
    """Drop it."""
    return Change(Phase.INDEX, [remove(name)], [build(definition)], reading(table))


def swap_index(table: str, old: str, new: str, name: str) -> Change:
    """Build the new one beside the old one, so that queries never lack both."""
    return Change(Phase.INDEX, _swap(name, new), _swap(name, old), reading(table))


def build(definition: str) -> str:
    """Return the statement that builds an index concurrently, unless it is there."""
    match = _parse(definition)
    create = f"CREATE {match['unique'] or ''}INDEX CONCURRENTLY IF NOT EXISTS"
    return f"{create} {match['name']} {readable(match['rest'])}"


def remove(name: str) -> str:
    """Return the statement that drops an index concurrently, if it is there."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {name}"


def renamed(definition: str, name: str) -> str:
    """Return the definition under another name."""
    match = _parse(definition)
    return f"CREATE {match['unique'] or ''}INDEX {name} {match['rest']}"


def plain(definition: str) -> str:
    """Return the statement that builds it at once, for a table that is new."""
    return readable(_STATE.sub("", definition))


def new_name(name: str) -> str:
    """Return a name for what is built to take the place of `name`."""
    return f'"{name.strip(chr(34))}_new"' if name.startswith('"') else f"{name}_new"


def _swap(name: str, definition: str) -> list[str]:
    beside = new_name(name)
    rename = f"ALTER INDEX IF EXISTS {beside} RENAME TO {name}"
    return [
        build(renamed(definition, beside)),
        remove(name),
        excused(rename, "renaming-object", "no code names an index"),
    ]


def _parse(definition: str) -> re.Match[str]:
    match = _CREATE.fullmatch(_STATE.sub("", definition))
    if match is None:
        raise ValueError(f"no index: {definition}")
    return match
