"""The SQL of a migration file, both ways, with the line of the file that each line of it stands on."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sherpa.db.migrations.events import Direction
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.loading import load
from sherpa.db.migrations.migration import Irreversible, Way, Work


@dataclass(frozen=True, slots=True)
class Script:
    """What one way of a migration sends to PostgreSQL; `lines[i]` is where line i stands in the file.

    `sql` is empty where the way is code, which nobody can read without running it.
    """

    file: Path
    way: Direction
    sql: str
    lines: tuple[int, ...]
    transaction: bool


def read_scripts(file: MigrationFile) -> Iterator[Script]:
    """Yield a migration's scripts, forwards first. Raises `BrokenMigrationError` for a faulty file."""
    migration = load(file)
    source = _Source(file.path.read_text(encoding="utf-8"))
    ways: list[tuple[Direction, Way | Irreversible]] = [
        ("forwards", migration.forwards),
        ("backwards", migration.backwards),
    ]
    for direction, way in ways:
        if not isinstance(way, Irreversible):
            sql, lines = source.locate(_statements(way), way=direction)
            yield Script(file.path, direction, sql, lines, migration.transaction)


def _statements(way: Way) -> Iterator[str]:
    parts: Sequence[str | Work] = [way] if isinstance(way, str) or not isinstance(way, Sequence) else way
    for part in parts:
        # A data migration in batches says its statement; of other code nothing is known.
        statement = part if isinstance(part, str) else getattr(part, "statement", None)
        if isinstance(statement, str):
            yield statement


class _Source:
    """The text of a migration file, to find its SQL in."""

    def __init__(self, text: str) -> None:
        tree = ast.parse(text)
        self._strings = {
            node.value: node
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        self._names = {
            target.id: node.lineno
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def locate(self, statements: Iterable[str], *, way: Direction) -> tuple[str, tuple[int, ...]]:
        """Join statements to one script, and name the file's line for each of its lines."""
        sql: list[str] = []
        lines: list[int] = []
        for statement in statements:
            found = self._lines_of(statement, way)
            sql += [*statement.split("\n"), ";"]
            lines += [*found, found[-1]]
        return "\n".join(sql), tuple(lines)

    def _lines_of(self, statement: str, way: Direction) -> list[int]:
        height = statement.count("\n")
        string = self._strings.get(statement)
        if string is None:  # put together when the file is imported: its name is as near as we get
            return [self._names.get(way.upper(), self._names.get("forwards", 1))] * (height + 1)
        as_written = (string.end_lineno or string.lineno) - string.lineno == height
        return [string.lineno + (row if as_written else 0) for row in range(height + 1)]
