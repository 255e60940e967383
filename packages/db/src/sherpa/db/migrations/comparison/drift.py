"""Where a database's schema and another description of it differ, in words that an engineer understands."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sherpa.db.catalogue import Fact, Snapshot

# A column's place among its table's columns. It can't be changed without writing the table anew, and depends
# on the order in which migrations came; nothing of ours relies on it.
_PLACE = re.compile(r"^#\d+ ")

# Whoever runs the database may remark on it as they like.
_NOT_COMPARED = frozenset({"comment", "schema", "extension"})


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as declared. `declared` or `found` is None where one side lacks it.

    `table` is the table that it belongs to, or None; names are without the schema that both sides share.
    """

    table: str | None
    kind: str
    name: str
    declared: str | None
    found: str | None

    def __str__(self) -> str:
        if self.declared is None:
            return f"{self._what}: not declared, found{_after_space(self.found)}"
        if self.found is None:
            return f"{self._what}: declared{_after_space(self.declared)}, not found"
        return f"{self._what}: declared {self.declared}, found {self.found}"

    def as_json(self) -> dict[str, str | None]:
        """Return it as JSON has it: an object with all five fields."""
        return {
            "table": self.table,
            "kind": self.kind,
            "name": self.name,
            "declared": self.declared,
            "found": self.found,
        }

    @property
    def _what(self) -> str:
        return self.name if self.kind in {"column", "relation"} else f"{self.kind} {self.name}"


def compare(declared: Snapshot, found: Snapshot, *, home: str) -> tuple[Difference, ...]:
    """Return every difference between two snapshots of the schema `home`, by table.

    Comments, extensions and the order of columns are no difference. A table that only one side has is one
    difference, with all that belongs to it; so is a constraint with the index behind it.
    """
    here, there = _by_name(declared), _by_name(found)
    differing = [
        (key, here.get(key), there.get(key))
        for key in here.keys() | there.keys()
        if _content(here.get(key)) != _content(there.get(key))
    ]
    alone = {name for (kind, name), *sides in differing if kind == "relation" and None in sides}
    constraints = {_last(name) for (kind, name), *_ in differing if kind == "constraint"}
    differences = [
        _difference(fact, declared=left, found=right, home=home)
        for (kind, name), left, right in differing
        if (fact := left or right)
        and (kind == "relation" or fact.relation not in alone)
        and not (kind == "index" and _last(name) in constraints)
    ]
    return tuple(sorted(differences, key=_order))


def describe(differences: Iterable[Difference]) -> str:
    """Return the differences as lines, grouped by table."""
    groups: dict[str | None, list[Difference]] = defaultdict(list)
    for difference in differences:
        groups[difference.table].append(difference)
    return "\n".join(
        line
        for table, group in groups.items()
        for line in (table or "beside the tables", *(f"  {difference}" for difference in group))
    )


def _by_name(made: Snapshot) -> dict[tuple[str, str], Fact]:
    return {(fact.kind, fact.name): fact for fact in made.facts if fact.kind not in _NOT_COMPARED}


def _content(fact: Fact | None) -> str | None:
    return None if fact is None else _PLACE.sub("", fact.facts)


def _difference(fact: Fact, *, declared: Fact | None, found: Fact | None, home: str) -> Difference:
    table = fact.relation and fact.relation.removeprefix(f"{home}.")
    name = fact.name.removeprefix(f"{home}.")
    if fact.kind in {"constraint", "trigger", "rule", "policy"} and table:
        name = name.removeprefix(f"{table}.")
    return Difference(table, fact.kind, name, _content(declared), _content(found))


def _order(difference: Difference) -> tuple[bool, Sequence[str]]:
    kinds = "relation", "column", "constraint", "index"
    place = kinds.index(difference.kind) if difference.kind in kinds else len(kinds)
    return difference.table is None, (difference.table or "", str(place), difference.kind, difference.name)


def _last(name: str) -> str:
    """Return the name behind the last dot that is not in quotes."""
    return re.split(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)', name)[-1]


def _after_space(text: str | None) -> str:
    return f" {text}" if text else ""
