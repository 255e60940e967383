"""What is wrong with a migration's SQL: Squawk's remarks, what it can't read, exceptions that are none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sherpa.db.migrations.events import Direction
from sherpa.devstack.sqllint import exceptions, squawk
from sherpa.devstack.sqllint.exceptions import Excepted
from sherpa.devstack.sqllint.recipes import RECIPES
from sherpa.devstack.sqllint.scripts import Script
from sherpa.devstack.sqllint.squawk import Remark

# The one place that says so: to take away what `forwards` made is what a way back is for. It is run when the
# release that uses it is taken back, by somebody who knows that rows go with it.
WAY_BACK_MAY = frozenset(
    f"ban-drop-{what}"
    for what in (
        "column", "constraint", "default", "domain", "extension", "function", "generated-expression",
        "not-null", "schema", "sequence", "table", "type", "view",
    )
)  # fmt: skip

UNREAD_BLOCK = "unread-block"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A fault at a line of a migration file; `advice` says how it is done safely."""

    file: Path
    line: int
    rule: str
    way: Direction
    message: str
    advice: str


def lint(script: Script, config: Path) -> list[Finding]:
    """Return what is wrong with a script, in the order of its lines. Raises `SquawkError`."""
    remarks = [*_read(script, script.sql, config), *_faulty_exceptions(script, config)]
    return sorted(
        Finding(script.file, script.lines[each.row], each.rule, script.way, each.message, _advice(each))
        for each in remarks
    )


def _read(script: Script, sql: str, config: Path) -> list[Remark]:
    blocks = {each for each in exceptions.excepted(sql) if each.rule == UNREAD_BLOCK}
    allowed = {each.row + 1 for each in blocks}
    for each in blocks:  # a rule of ours, which Squawk would call unknown
        sql = exceptions.without(sql, each)
    remarks = squawk.read(sql, transaction=script.transaction, config=config)
    may = WAY_BACK_MAY if script.way == "backwards" else frozenset()
    return [
        *(remark for remark in remarks if remark.rule not in may),
        *(_unread(row) for row in squawk.find_blocks(sql) if row not in allowed),
    ]


def _unread(row: int) -> Remark:
    return Remark(
        row,
        UNREAD_BLOCK,
        "Squawk does not read what a DO block or a CALL runs.",
        "Write plain statements; or look at it yourself and say in the exception what it does.",
    )


def _faulty_exceptions(script: Script, config: Path) -> Iterator[Remark]:
    for row in exceptions.malformed(script.sql):
        yield Remark(row, "exception-without-reason", "An exception names its rule and its reason.", "")
    with_all = _read(script, script.sql, config)
    for each in exceptions.excepted(script.sql):
        # Squawk reports unknown names itself, but not yet an exception that nothing needs.
        if _read(script, exceptions.without(script.sql, each), config) == with_all:
            yield _unused(each)


def _unused(exception: Excepted) -> Remark:
    message = f"Nothing here needs the exception from {exception.rule}."
    return Remark(
        exception.row,
        "unused-exception",
        message,
        "It counts for the line below it alone: move it, or remove it.",
    )


def _advice(remark: Remark) -> str:
    recipe = exceptions.FORM if remark.rule == "exception-without-reason" else RECIPES.get(remark.rule, "")
    return " ".join(part for part in (remark.help, recipe) if part)
