"""Constraints added and dropped: proved beside the traffic, or made of an index that was built beside it."""

import re
from collections.abc import Iterator
from typing import Final

from sherpa.db.migrations.proposals.changes import (
    Change,
    Phase,
    excused,
    explained,
    instant,
    reading,
    undecided,
)
from sherpa.db.migrations.proposals.indexes import build, new_name, remove, renamed
from sherpa.db.migrations.proposals.sql import readable
from sherpa.db.migrations.proposals.tables import Table

_NOT_VALID: Final = " NOT VALID"
_BINDING: Final = "From here on a write that breaks it fails: all running code must keep to it by now."
_UNIQUE: Final = "Fails at rows that are equal here, and from here on refuses them to running code, too."
_REFERENCE: Final = re.compile(r"FOREIGN KEY .* REFERENCES (?P<table>\"[^\"]+\"|\w+)", re.DOTALL)
_UNPROVED: Final = "constraint-missing-not-valid"
_RULES: Final = {
    "UNIQUE": ", disallowed-unique-constraint",
    "PRIMARY": ", adding-serial-primary-key-field",
    "FOREIGN": ", adding-foreign-key-constraint",
}
# An index knows nothing of it: a constraint that is made of one has to say it again.
_DEFERRABLE: Final = re.compile(r" DEFERRABLE.*$")


def referenced_table(definition: str) -> str | None:
    """Return the table that a foreign key points to; None for another constraint."""
    match = _REFERENCE.match(definition)
    return match["table"] if match else None


def drop_constraint(table: Table, name: str) -> Change:
    """Drop it first of all: the new code may write what it forbids."""
    definition = table.constraints[name]
    drop = drop_statement(table.name, name, "the tables no longer declare it so")
    return Change(
        Phase.EXPAND, [drop], [_restore(table.name, name, definition)], _locks(table.name, definition)
    )


def add_constraint(
    table: Table, name: str, *, replaced: str | None = None, waits: bool = False
) -> Iterator[Change]:
    """Add it in steps, once the keys are there if it `waits` for one of another table.

    `replaced` is the definition under the same name that it takes the place of.
    """
    definition = table.constraints[name]
    if name in table.keys and not definition.startswith("EXCLUDE"):
        yield from _add_key(table, name, replaced)
    elif definition.startswith(("CHECK", "FOREIGN KEY")):
        yield from _add_unproved(table.name, name, definition, waits=waits)
    else:
        remark = f"Nobody reads or writes {table.name} while this is built: for a small table only."
        add = excused(add_statement(table.name, name, definition), _UNPROVED, "the table is small")
        statement = undecided(add, remark)
        yield Change(
            Phase.EXPAND,
            [statement],
            [drop_statement(table.name, name)],
            f"ACCESS EXCLUSIVE on {table.name} while the constraint's index is built.",
        )


def validate(table: str, name: str, definition: str, phase: Phase = Phase.VALIDATE) -> Change:
    """Prove a constraint for the rows that were there before it."""
    proved = definition.removesuffix(_NOT_VALID)
    return Change(
        phase,
        [f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"],
        [
            drop_statement(table, name),
            add_statement(table, name, proved + _NOT_VALID),
        ],
        reading(table),
    )


def add_statement(table: str, name: str, definition: str) -> str:
    """Return the statement that adds it as it is."""
    return f"ALTER TABLE {table} ADD CONSTRAINT {name} {readable(definition)}"


def drop_statement(table: str, name: str, reason: str = "") -> str:
    """Return the statement that drops it, and why that is right; a way back needs no reason."""
    statement = f"ALTER TABLE {table} DROP CONSTRAINT {name}"
    return excused(statement, "ban-drop-constraint", reason) if reason else statement


def _add_unproved(table: str, name: str, definition: str, *, waits: bool) -> Iterator[Change]:
    proved = definition.removesuffix(_NOT_VALID)
    yield Change(
        Phase.REFER if waits else Phase.EXPAND,
        [explained(add_statement(table, name, proved + _NOT_VALID), _BINDING)],
        [drop_statement(table, name)],
        _locks(table, definition),
    )
    if not definition.endswith(_NOT_VALID):
        yield validate(table, name, definition, Phase.PROVE if waits else Phase.VALIDATE)


def _add_key(table: Table, name: str, replaced: str | None) -> Iterator[Change]:
    built = name if replaced is None else new_name(name)
    index = renamed(table.keys[name], built)
    yield Change(Phase.INDEX, [explained(build(index), _UNIQUE)], [remove(built)], reading(table.name))
    kind = "PRIMARY KEY" if table.constraints[name].startswith("PRIMARY KEY") else "UNIQUE"
    deferrable = _DEFERRABLE.search(table.constraints[name])
    attach = f"ALTER TABLE {table.name} ADD CONSTRAINT {name} {kind} USING INDEX {built}"
    forwards = [attach + (deferrable[0] if deferrable else "")]
    back = [
        drop_statement(table.name, name),
        explained(
            excused(readable(index), "require-concurrent-index-creation", "the way back is one transaction"),
            f"Nobody writes {table.name} meanwhile. PostgreSQL can't keep a constraint's index without it.",
        ),
    ]
    if replaced is not None:
        forwards.insert(0, drop_statement(table.name, name, "the new one follows at once"))
        back.append(_restore(table.name, name, replaced))
    yield Change(Phase.SETTLE, forwards, back, instant(table.name))


def _restore(table: str, name: str, definition: str) -> str:
    """Return the statement for a way back: all in one step, for the catalogue has to be as it was."""
    statement = add_statement(table, name, definition)
    if definition.endswith(_NOT_VALID):
        return statement
    rules = f"{_UNPROVED}{_RULES.get(definition.split(' ', maxsplit=1)[0], '')}"
    remark = "Makes sure of all rows, while nobody writes them."
    return explained(excused(statement, rules, "all in one step"), remark)


def _locks(table: str, definition: str) -> str:
    if other := referenced_table(definition):
        return f"SHARE ROW EXCLUSIVE on {table} and {other}, for an instant: no row is read."
    return instant(table)
