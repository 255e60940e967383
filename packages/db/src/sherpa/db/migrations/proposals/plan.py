"""Compares two schemas and proposes the migrations between them, a draft for each file."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sherpa.db.catalogue import Snapshot
from sherpa.db.migrations.proposals.changes import Change, Phase
from sherpa.db.migrations.proposals.columns import add_column, alter_column, drop_column
from sherpa.db.migrations.proposals.comments import change_comments
from sherpa.db.migrations.proposals.constraints import (
    add_constraint,
    drop_constraint,
    referenced_table,
    validate,
)
from sherpa.db.migrations.proposals.indexes import add_index, drop_index, swap_index
from sherpa.db.migrations.proposals.tables import Table, list_others, read_tables
from sherpa.db.migrations.proposals.whole import create_tables, drop_tables
from sherpa.db.migrations.unfinished import MARK

_WORDS: Final = r"\"(?:[^\"]|\"\")+\"|\w+"


@dataclass(frozen=True, slots=True)
class Draft:
    """What one migration file says: statements both ways in the order in which they run, and the locks."""

    suffix: str
    transaction: bool
    forwards: tuple[str, ...]
    backwards: tuple[str, ...]
    locks: tuple[str, ...]


def propose(declared: Snapshot, actual: Snapshot, schema: str = "public") -> tuple[Draft, ...]:
    """Return the drafts that lead from the actual schema to the declared one, in the order to apply them.

    None where the two agree. A column's place among its neighbours is not compared: PostgreSQL can't move it.
    """
    changes = sorted(_compare(declared, actual, schema), key=lambda change: change.phase)
    files = groupby(changes, lambda change: change.phase.suffix)
    return tuple(_draft(list(group)) for _, group in files)


def _draft(changes: list[Change]) -> Draft:
    phase = changes[0].phase
    return Draft(
        phase.suffix,
        phase.transaction,
        tuple(statement for change in changes for statement in change.forwards),
        tuple(statement for change in reversed(changes) for statement in change.backwards),
        tuple(dict.fromkeys(change.locks for change in changes if change.locks)),
    )


def _compare(declared: Snapshot, actual: Snapshot, schema: str) -> Iterator[Change]:
    old, new = read_tables(actual, schema), read_tables(declared, schema)
    created = {name: table for name, table in new.items() if name not in old}
    dropped = {name: table for name, table in old.items() if name not in new}
    yield from create_tables(created)
    kept = [name for name in new if name in old]
    # A foreign key may point at a key that comes with this very proposal: then it has to wait for that.
    keyed = {name for name in kept if new[name].keys.keys() - old[name].keys.keys()}
    for name in kept:
        yield from _change_table(old[name], new[name], keyed)
    yield from drop_tables(dropped, _find_lookalikes(dropped, created))
    yield from _tell_others(list_others(declared, schema), list_others(actual, schema))


def _change_table(old: Table, new: Table, keyed: Collection[str]) -> Iterator[Change]:
    if old.facts != new.facts:
        yield _tell(f"{new.name} is now: {new.facts}", f"it was: {old.facts}")
    # Constraints that go, go before the columns change; those that come, come after.
    yield from _drop_constraints(old, new)
    yield from _change_columns(old, new)
    yield from _add_constraints(old, new, keyed)
    yield from _change_indexes(old, new)
    yield from change_comments(old, new)


def _drop_constraints(old: Table, new: Table) -> Iterator[Change]:
    anew = _find_checked_anew(old, new)
    for name, text in old.constraints.items():
        after = new.constraints.get(name)
        is_swapped_key = name in old.keys and name in new.keys
        if (after != text or name in anew) and not is_swapped_key and not _is_proved_only(text, after):
            yield drop_constraint(old, name)


def _add_constraints(old: Table, new: Table, keyed: Collection[str]) -> Iterator[Change]:
    anew = _find_checked_anew(old, new)
    for name, text in new.constraints.items():
        before = None if name in anew else old.constraints.get(name)
        if _is_proved_only(before, text):
            yield validate(new.name, name, text)
        elif before != text:
            replaced = before if name in old.keys else None
            yield from add_constraint(new, name, replaced=replaced, waits=referenced_table(text) in keyed)


def _find_checked_anew(old: Table, new: Table) -> set[str]:
    """A CHECK on a column whose type changes: left in place, it is proved again while nobody reads."""
    both = [name for name in new.columns if name in old.columns]
    retyped = {name for name in both if old.columns[name].type != new.columns[name].type}
    return {
        name
        for name, text in old.constraints.items()
        if text.startswith("CHECK") and retyped & set(re.findall(_WORDS, text))
    }


def _is_proved_only(old: str | None, new: str | None) -> bool:
    return old is not None and old == f"{new} NOT VALID"


def _change_columns(old: Table, new: Table) -> Iterator[Change]:
    added = [column for name, column in new.columns.items() if name not in old.columns]
    for column in added:
        yield from add_column(new.name, column)
    for name in [name for name in new.columns if name in old.columns]:
        yield from alter_column(new.name, old.columns[name], new.columns[name])
    for column in [column for name, column in old.columns.items() if name not in new.columns]:
        yield from drop_column(old, column, [other.name for other in added if other.type == column.type])


def _change_indexes(old: Table, new: Table) -> Iterator[Change]:
    for name in sorted(old.indexes.keys() | new.indexes.keys()):
        before, after = old.indexes.get(name), new.indexes.get(name)
        if before is None and after is not None:
            yield add_index(new.name, after, name)
        elif before is not None and after is None:
            yield drop_index(new.name, before, name)
        elif before is not None and after is not None and before != after:
            yield swap_index(new.name, before, after, name)


def _find_lookalikes(dropped: Mapping[str, Table], created: Mapping[str, Table]) -> dict[str, str]:
    """A dropped table with the columns of a created one may have been renamed; its author knows."""
    return {
        name: other.name
        for name, table in dropped.items()
        for other in created.values()
        if table.columns.keys() == other.columns.keys()
    }


def _tell_others(declared: frozenset[str], actual: frozenset[str]) -> Iterator[Change]:
    for each in sorted(declared - actual):
        yield _tell(f"the tables need {each}", "the database lacks it")
    for each in sorted(actual - declared):
        yield _tell(f"the tables do without {each}", "the database has it")


def _tell(there: str, back: str) -> Change:
    """Nothing is proposed: somebody has to write it."""
    text = f"{there}; {back}".replace("\n", " ")
    todo = f"{MARK} nothing is proposed for this, write it by hand: {text}"
    return Change(Phase.EXPAND, [todo], [todo], "")
