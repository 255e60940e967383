"""Whole tables, created in the order of their references and dropped in the opposite one."""

from collections.abc import Collection, Iterator, Mapping

from sherpa.db.migrations.proposals.changes import Change, Phase, excused, undecided
from sherpa.db.migrations.proposals.comments import comment_statements
from sherpa.db.migrations.proposals.constraints import add_statement, drop_statement, referenced_table
from sherpa.db.migrations.proposals.indexes import plain
from sherpa.db.migrations.proposals.sql import readable
from sherpa.db.migrations.proposals.tables import Table
from sherpa.db.migrations.proposals.types import define, excuse_type


def create_tables(tables: Mapping[str, Table]) -> Iterator[Change]:
    """Create tables with all that belongs to them; references in a circle are added at the end."""
    return (change for _, change in _create_in_order(tables))


def drop_tables(tables: Mapping[str, Table], lookalikes: Mapping[str, str]) -> Iterator[Change]:
    """Drop tables; `lookalikes` names the new table that a dropped one may have become."""
    for name, creation in reversed(list(_create_in_order(tables))):
        remark = f"Dangerous: no running code may name {name} any more, and its rows are lost."
        if name in lookalikes:
            remark += f" Was it renamed to {lookalikes[name]}? Nobody can tell: if so, copy the rows first."
        drops = [
            undecided(excused(statement, "ban-drop-table", "no code names it any more"), remark)
            if statement.startswith("DROP TABLE")
            else excused(statement, "ban-drop-constraint", "its table goes, too")
            for statement in creation.backwards
        ]
        locks = f"ACCESS EXCLUSIVE on {name} and on what it refers to, for an instant."
        yield Change(Phase.CONTRACT, drops, creation.forwards, locks)


def _create_in_order(tables: Mapping[str, Table]) -> Iterator[tuple[str, Change]]:
    order = _sort(tables)
    late = []
    for place, table in enumerate(order):
        later = {other.name for other in order[place + 1 :]}
        missing = [name for name, text in table.constraints.items() if referenced_table(text) in later]
        late += [(table.name, _add_late(table, name)) for name in missing]
        yield table.name, _create(table, missing)
    yield from late


def _create(table: Table, missing: Collection[str]) -> Change:
    lines = [define(column) for column in table.columns.values()]
    lines += [
        f"CONSTRAINT {name} {readable(text)}"
        for name, text in table.constraints.items()
        if name not in missing
    ]
    body = ",\n    ".join(lines)
    create = f"CREATE TABLE {table.name} (\n    {body}\n)"
    forwards = [
        excuse_type(create, *table.columns.values()),
        *(plain(text) for text in table.indexes.values()),
        *comment_statements(table.comments),
    ]
    return Change(Phase.EXPAND, forwards, [f"DROP TABLE {table.name}"], _locks(table))


def _locks(table: Table) -> str:
    others = {referenced_table(text) for text in table.constraints.values()} - {None, table.name}
    if not others:
        return f"{table.name} is new: nobody can be waiting for it."
    named = ", ".join(sorted(map(str, others)))
    return f"{table.name} is new; its foreign key takes SHARE ROW EXCLUSIVE on {named}, for an instant."


def _add_late(table: Table, name: str) -> Change:
    drop = drop_statement(table.name, name)
    add = add_statement(table.name, name, table.constraints[name])
    return Change(Phase.EXPAND, [add], [drop], f"{table.name} is new: nobody can be waiting for it.")


def _sort(tables: Mapping[str, Table]) -> list[Table]:
    """Those that others refer to first, as far as there is no circle."""
    order: list[Table] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in tables:
            return
        seen.add(name)
        for text in tables[name].constraints.values():
            visit(referenced_table(text) or "")
        order.append(tables[name])

    for name in tables:
        visit(name)
    return order
