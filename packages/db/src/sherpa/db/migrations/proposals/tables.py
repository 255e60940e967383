"""Tables as a proposal needs them, read from the facts of a snapshot."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from sherpa.db.catalogue import Fact, Snapshot
from sherpa.db.migrations.proposals.sql import unqualified

# As the catalogue's facts have it. A type may hold " with " itself: `time with time zone`.
_COLUMN: Final = re.compile(
    r"#(?P<place>\d+) (?P<type>.+?)(?P<not_null> NOT NULL)?"
    r"(?: DEFAULT (?P<default>(?:'(?:[^']|'')*'|[^'])+?))?"
    r"(?P<rest> (?:GENERATED|IDENTITY|collate|with (?!time zone|out)) ?.*)?",
    re.DOTALL,
)
_SEQUENCE: Final = re.compile(r".* owned by (?P<column>.*)", re.DOTALL)
_HANDLED: Final = {"schema", "relation", "column", "constraint", "index", "sequence", "comment"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalogue tells it; `is_serial` when its default comes from a sequence of its own."""

    name: str
    type: str
    not_null: bool
    default: str | None
    rest: str
    is_serial: bool = False


@dataclass(slots=True)
class Table:
    """A table's parts by name, as the catalogue tells them; `keys` are the indexes of its constraints."""

    name: str
    facts: str = "table"
    columns: dict[str, Column] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)


def read_tables(snapshot: Snapshot, schema: str) -> dict[str, Table]:
    """Return the schema's tables by name, without the schema in any name of theirs."""
    facts = [_unqualified(fact, schema) for fact in snapshot.facts]
    tables = {
        fact.name: Table(fact.name, fact.facts)
        for fact in facts
        if fact.kind == "relation" and "table" in fact.facts.split(" ")[:2]
    }
    serial = {match["column"] for match in _sequences(facts)}
    for fact in sorted(facts, key=_place):
        if fact.relation in tables:
            _add(tables[fact.relation], fact, serial)
    for table in tables.values():
        table.keys = {name: table.indexes.pop(name) for name in table.constraints if name in table.indexes}
    return tables


def list_others(snapshot: Snapshot, schema: str) -> frozenset[str]:
    """Return what no proposal covers (views, functions, types, …), a line each."""
    facts = [_unqualified(fact, schema) for fact in snapshot.facts]
    return frozenset(
        str(fact)
        for fact in facts
        if fact.kind not in _HANDLED or (fact.kind == "relation" and fact.facts.split(" ")[0] != "table")
    )


def _unqualified(fact: Fact, schema: str) -> Fact:
    relation = fact.relation and unqualified(fact.relation, schema)
    return Fact(
        fact.kind, fact.schema, relation, unqualified(fact.name, schema), unqualified(fact.facts, schema)
    )


def _place(fact: Fact) -> int:
    """Snapshots are in the order of names; columns are declared in that of their places."""
    match = _COLUMN.fullmatch(fact.facts) if fact.kind == "column" else None
    return int(match["place"]) if match else 0


def _sequences(facts: list[Fact]) -> Iterator[re.Match[str]]:
    for fact in facts:
        if fact.kind == "sequence" and (match := _SEQUENCE.fullmatch(fact.facts)):
            yield match


def _add(table: Table, fact: Fact, serial: Collection[str]) -> None:
    name = fact.name.removeprefix(f"{table.name}.")
    match fact.kind:
        case "column":
            table.columns[name] = _read_column(name, fact, serial)
        case "constraint":
            table.constraints[name] = fact.facts
        case "index":
            table.indexes[name] = fact.facts
        case "comment":
            table.comments[fact.name] = fact.facts
        case _:
            pass


def _read_column(name: str, fact: Fact, serial: Collection[str]) -> Column:
    match = _COLUMN.fullmatch(fact.facts)
    if match is None:
        raise ValueError(f"no column: {fact}")
    default = match["default"]
    return Column(
        name=name,
        type=match["type"],
        not_null=bool(match["not_null"]),
        default=default,
        rest=match["rest"] or "",
        is_serial=(default or "").startswith("nextval(") and fact.name in serial,
    )
