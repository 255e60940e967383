"""Comments that stand in the database, on tables and what belongs to them."""

from collections.abc import Iterator, Mapping
from typing import Final

from sherpa.db.migrations.proposals.changes import Change, Phase
from sherpa.db.migrations.proposals.tables import Table

# As the catalogue calls a kind of object → as COMMENT ON does; the longer words first.
_KINDS: Final = {
    "table constraint": "CONSTRAINT",
    "table column": "COLUMN",
    "table": "TABLE",
    "index": "INDEX",
}


def change_comments(old: Table, new: Table) -> Iterator[Change]:
    """Say what is said anew, take back what is not."""
    for target in sorted(old.comments.keys() | new.comments.keys()):
        before, after = old.comments.get(target), new.comments.get(target)
        if before != after:
            phase = Phase.SETTLE if before is None and not target.startswith("table ") else Phase.EXPAND
            yield Change(
                phase,
                [_statement(target, after)],
                [_statement(target, before)],
                f"SHARE UPDATE EXCLUSIVE on {new.name}, for an instant.",
            )


def comment_statements(comments: Mapping[str, str]) -> list[str]:
    """Return a statement for each comment."""
    return [_statement(target, text) for target, text in comments.items()]


def _statement(target: str, text: str | None) -> str:
    kind = next(kind for kind in _KINDS if target.startswith(f"{kind} "))
    return f"COMMENT ON {_KINDS[kind]} {target.removeprefix(kind + ' ')} IS {_quote(text)}"


def _quote(text: str | None) -> str:
    if text is None:
        return "NULL"
    quoted = "'" + text.replace("'", "''") + "'"
    if "\n" not in text:
        return quoted
    return "E" + quoted.replace("\\", r"\\").replace("\n", r"\n")
