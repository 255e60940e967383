"""Columns added, dropped and altered, without a rewrite or a long look at the rows where that can be had."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from sherpa.db.migrations.proposals.sql import joined_name
from sherpa.db.migrations.proposals.tables import Column, Table
from sherpa.db.migrations.proposals.types import (
    casts_itself,
    constant,
    define,
    excuse_type,
    is_harmless,
    is_volatile,
    type_name,
)
from sherpa.db.migrations.unfinished import MARK

_LOSES: Final = "A value too large stops it; one too fine is rounded, without a word."
_REWRITES: Final = (
    "The whole table is written anew, and nobody reads or writes it meanwhile: for a small one only. Else "
    "add a column, copy in batches, and change over. " + _LOSES
)


def add_column(table: str, column: Column) -> Iterator[Change]:
    """Add it in one step where that takes an instant; else empty, to be filled and required later."""
    back = [f"ALTER TABLE {table} DROP COLUMN {column.name}"]
    if column.is_serial or column.rest:
        statement = undecided(_add(table, column), _REWRITES)
        yield Change(
            Phase.EXPAND, [statement], back, f"ACCESS EXCLUSIVE on {table} while it is written anew."
        )
        return
    yield Change(Phase.EXPAND, _add_instantly(table, column), back, instant(table))
    if column.not_null and not _is_filled(column):
        yield from require(table, column.name, Phase.REQUIRE)


def drop_column(table: Table, column: Column, lookalikes: Sequence[str]) -> Iterator[Change]:
    """Drop it last; until then it may stay empty, so that code that no longer knows it can add rows."""
    leaves_empty = column.not_null and column.default is None and not _is_key(table, column)
    if leaves_empty:
        yield relax(table.name, column.name)
    remark = (
        f"Dangerous: no running code may name {column.name} any more, and its values are lost. In the "
        f"release that forgets it, ddl_indexes of the class keeps it (docs/migration-recipes.md, Drop a "
        f"column)."
    )
    if lookalikes:
        remark += (
            f" Was it renamed to {' or '.join(lookalikes)}? Nobody can tell: if so, copy the values first."
        )
    statement = f"ALTER TABLE {table.name} DROP COLUMN {column.name}"
    forwards = undecided(excused(statement, "ban-drop-column", "no code names it any more"), remark)
    back = _add_instantly(table.name, column)
    if column.is_serial or column.rest or (column.not_null and not leaves_empty):
        back = [_add(table.name, column)]
    yield Change(Phase.CONTRACT, [forwards], back, instant(table.name))


def alter_column(table: str, old: Column, new: Column) -> Iterator[Change]:
    """Change what differs, one thing at a time."""
    if (old.rest, old.is_serial) != (new.rest, new.is_serial):
        by_hand = f"{MARK} write by hand what makes `{define(new)}` of `{define(old)}`, or the opposite."
        yield Change(Phase.EXPAND, [by_hand], [by_hand], "")
    if old.type != new.type:
        yield _retype(table, old, new)
    elif old.default != new.default:
        there = _set_default(table, new, "no code relies on it")
        back = _set_default(table, old)
        yield Change(Phase.EXPAND, [there], [back], instant(table))
    if old.not_null and not new.not_null:
        yield relax(table, new.name)
    if new.not_null and not old.not_null:
        yield from require(table, new.name, Phase.EXPAND)


def require(table: str, column: str, phase: Phase) -> Iterator[Change]:
    """Make it NOT NULL by a CHECK that is proved beside the traffic: SET NOT NULL then reads no row."""
    name = joined_name(table, column, "present")
    check = f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID"
    drop = f"ALTER TABLE {table} DROP CONSTRAINT {name}"
    yield Change(phase, [undecided(check, _require_first(column, phase))], [drop], instant(table))
    proof = f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
    yield Change(Phase.VALIDATE, [proof], [], reading(table))
    yield Change(
        Phase.SETTLE,
        [
            f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL",
            excused(drop, "ban-drop-constraint", "the column itself says so now"),
        ],
        [f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL", check],
        instant(table),
    )


def _require_first(column: str, phase: Phase) -> str:
    first = f"From here on, what writes no {column} fails; the next file fails at a row without one. "
    if phase is Phase.REQUIRE:
        return (
            f"{first}So this is for later: declare {column} null=True now, and delete both files. Let code "
            f"write it, fill it by a data migration, declare it so again, and have them proposed again."
        )
    return (
        f"{first}All running code must write it by now, and a data migration before this file must have "
        f"filled the rows that are there (docs/migration-recipes.md, Set NOT NULL)."
    )


def relax(table: str, column: str) -> Change:
    """Permit NULL."""
    drop = f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
    back = f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"
    return Change(
        Phase.EXPAND,
        [excused(drop, "ban-drop-not-null", "code that reads it expects NULL by now")],
        [
            explained(
                excused(back, "adding-not-nullable-field", "all in one step"),
                f"Reads all rows, while nobody else can. Fails where {column} is empty: fill it first.",
            )
        ],
        instant(table),
    )


def _is_key(table: Table, column: Column) -> bool:
    keys = [text for text in table.constraints.values() if text.startswith("PRIMARY KEY")]
    return any(column.name in re.split(r"[(), ]+", text) for text in keys)


def _is_filled(column: Column) -> bool:
    """Whether the rows that are there get a value without being written: a constant from the catalogue."""
    return column.default is not None and not is_volatile(column.default)


def _add(table: str, column: Column) -> str:
    statement = f"ALTER TABLE {table} ADD COLUMN {define(column)}"
    if column.is_serial and column.not_null:
        statement = excused(statement, "adding-required-field", "its sequence fills it")
    if "GENERATED" in column.rest or "IDENTITY" in column.rest:
        statement = excused(statement, "adding-field-with-default", "the table is small")
    return excuse_type(statement, column)


def _add_instantly(table: str, column: Column) -> list[str]:
    if _is_filled(column):
        return [_add(table, column)]
    bare = f"ALTER TABLE {table} ADD COLUMN {column.name} {type_name(column.type)}"
    if column.default is None:
        return [excuse_type(bare, column)]
    remark = "For new rows alone: given with the column, it would be computed for every row, and written."
    return [excuse_type(bare, column), explained(_set_default(table, column), remark)]


def _retype(table: str, old: Column, new: Column) -> Change:
    locks = instant(table) if is_harmless(old.type, new.type) else _rewriting(table)
    there = _set_type(table, old, new, is_way_back=False)
    return Change(Phase.EXPAND, there, _set_type(table, new, old, is_way_back=True), locks)


def _rewriting(table: str) -> str:
    return f"ACCESS EXCLUSIVE on {table} while it is written anew."


def _set_type(table: str, old: Column, new: Column, *, is_way_back: bool) -> list[str]:
    wanted = type_name(new.type)
    using = "" if casts_itself(old.type, new.type) else f" USING {new.name}::{wanted}"
    statement = f"ALTER TABLE {table} ALTER COLUMN {new.name} TYPE {wanted}{using}"
    is_quick = is_harmless(old.type, new.type)
    reason = "no row is written anew" if is_quick else "the table is small"
    # Squawk sees a plain type here, whatever fills it.
    statement = excuse_type(excused(statement, "changing-column-type", reason), replace(new, is_serial=False))
    if not is_quick:
        statement = explained(statement, _LOSES) if is_way_back else undecided(statement, _REWRITES)
    steps = [statement]
    if old.is_serial and new.is_serial:
        return [*steps, f"ALTER SEQUENCE {_sequence(new)} AS {wanted}"]
    if old.default is not None:  # it may not fit the new type
        steps.insert(0, _drop_default(table, new, "" if is_way_back else "it is of the old type"))
    if new.default is not None:
        steps.append(_set_default(table, new))
    return steps


def _sequence(column: Column) -> str:
    return (column.default or "").removeprefix("nextval('").removesuffix("'::regclass)")


def _set_default(table: str, column: Column, reason: str = "") -> str:
    if column.default is None:
        return _drop_default(table, column, reason)
    return f"ALTER TABLE {table} ALTER COLUMN {column.name} SET DEFAULT {constant(column.default)}"


def _drop_default(table: str, column: Column, reason: str) -> str:
    statement = f"ALTER TABLE {table} ALTER COLUMN {column.name} DROP DEFAULT"
    return excused(statement, "ban-drop-default", reason) if reason else statement
