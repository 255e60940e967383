"""Reads docs/migration-recipes.md: each recipe's steps in the order in which they happen, and their claims.

The notation is said on the page itself, for those who read it; here it is taken at its word.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[5] / "docs" / "migration-recipes.md"

_RECIPE = re.compile(r"^## (?P<title>.+?)\n(?P<body>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(
    r"^```(?P<language>sql|python)\n(?:--|#) (?P<head>.+?)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_HEAD = re.compile(
    r"Release (?P<release>\d): (?P<kind>migration|code)"
    r"(?P<bare>, without a transaction)?(?:; breaks (?P<breaks>\d))?"
)
_STATEMENT = re.compile(
    r"^-- locks (?P<locks>.+): blocks (?P<blocks>.+); (?P<work>.+)\n(?P<sql>(?:(?!-- locks ).*\n)+)",
    re.MULTILINE,
)
_WAY_BACK = re.compile(r"^-- Way back(?:: none, (?P<reason>.+))?\n", re.MULTILINE)
_SCHEMA = "Release 0: schema"
_FILE = '''"""A step of docs/migration-recipes.md."""

from sherpa.db.migrations.batches import Batches
from sherpa.db.migrations.migration import Irreversible, Migration

ID = "{id}"
VERSION = "1.38.0"
DESCRIPTION = "a step"

{source}
forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS, transaction={transaction})
'''
_BAD = "Not like this"


@dataclass(frozen=True)
class Statement:
    """One statement of a migration: its SQL, and what the page says that it locks, blocks and costs."""

    sql: str
    locks: str
    blocks: str
    work: str

    @property
    def concurrently(self) -> bool:
        """Whether it runs in transactions of its own, and refuses to be part of one."""
        return "CONCURRENTLY" in self.sql

    @property
    def claim(self) -> str:
        """What the page says of it, as the test says what it saw."""
        return f"locks {self.locks}: blocks {self.blocks}; {self.work}"


@dataclass(frozen=True)
class Step:
    """A migration, both ways, or the queries of one release's code."""

    kind: str
    release: int
    text: str
    transaction: bool = True
    breaks: int | None = None

    @property
    def is_python(self) -> bool:
        """Whether it is code, as a backfill in batches, and no SQL."""
        return self.text.startswith("FORWARDS = ")

    @property
    def forwards(self) -> tuple[Statement, ...]:
        """The migration's SQL statements."""
        return () if self.is_python else _statements(_WAY_BACK.split(self.text)[0])

    @property
    def backwards(self) -> tuple[Statement, ...]:
        """The SQL statements of its way back; none when there is none."""
        return () if self.is_python else _statements(_WAY_BACK.split(self.text)[-1])

    @property
    def is_reversible(self) -> bool:
        """Whether there is a way back."""
        return not self._none

    def as_file(self, migration_id: str) -> str:
        """Return the text of a migration file that does this step."""
        source = self.text if self.is_python else self._sql_source()
        return _FILE.format(id=migration_id, source=source, transaction=self.transaction)

    def _sql_source(self) -> str:
        backwards = self._way(self.backwards) if self.is_reversible else f"Irreversible({self._none!r})"
        return f"FORWARDS = {self._way(self.forwards)}\nBACKWARDS = {backwards}\n"

    @property
    def _none(self) -> str:
        """Why there is no way back; empty where there is one."""
        if self.is_python:
            return "code" if "\nBACKWARDS = Irreversible(" in self.text else ""
        found = _WAY_BACK.search(self.text)
        assert found, f"no way back is told: {self.text}"
        return found["reason"] or ""

    def _way(self, statements: tuple[Statement, ...]) -> str:
        singles = tuple(statement.sql for statement in statements)
        return repr("\n".join(singles) if self.transaction else singles)

    @property
    def queries(self) -> tuple[str, ...]:
        """The code's queries, one by one."""
        return tuple(query.strip() for query in self.text.split(";\n") if query.strip())


@dataclass(frozen=True)
class Recipe:
    """One change: its steps in the order in which they happen, and the shorter ways that are warned of."""

    title: str
    steps: tuple[Step, ...]
    bad: tuple[Statement, ...]

    @property
    def migrations(self) -> tuple[Step, ...]:
        """The migrations alone."""
        return tuple(step for step in self.steps if step.kind == "migration")


def _statements(text: str) -> tuple[Statement, ...]:
    found = _STATEMENT.finditer(text)
    return tuple(
        Statement(each["sql"].strip(), each["locks"], each["blocks"], each["work"]) for each in found
    )


def _read(title: str, body: str) -> Recipe:
    steps: list[Step] = []
    bad: list[Statement] = []
    for block in _BLOCK.finditer(body):
        if block["head"] == _BAD:
            bad += _statements(block["text"])
        elif block["head"] != _SCHEMA:
            head = _HEAD.fullmatch(block["head"])
            assert head, f"{title}: what is {block['head']!r}?"
            breaks = int(head["breaks"]) if head["breaks"] else None
            steps.append(Step(head["kind"], int(head["release"]), block["text"], not head["bare"], breaks))
    return Recipe(title, tuple(steps), tuple(bad))


TEXT = PAGE.read_text(encoding="utf-8")

SCHEMA: Final = next(found["text"] for found in _BLOCK.finditer(TEXT) if found["head"] == _SCHEMA)
"""The tables that every recipe starts from."""

ROWS: Final = """
INSERT INTO members (email, tier, city)
SELECT 'm' || n, 'free', CASE WHEN n % 2 = 0 THEN 'Oslo' END FROM generate_series(1, 500) n;
INSERT INTO charges (member_id, amount, note) SELECT id, 5, 'fee' FROM members;
INSERT INTO handled (event_id, handler) SELECT gen_random_uuid(), 'mail' FROM generate_series(1, 500);
INSERT INTO outbox (payload) SELECT '{}' FROM generate_series(1, 500);
"""

RECIPES: Final = tuple(
    recipe
    for found in _RECIPE.finditer(TEXT)
    if (recipe := _read(found["title"], found["body"])).steps or recipe.bad
)
