"""A database's schema as PostgreSQL's own catalogue tells it: plain facts, to be compared and shown.

Covered, in every schema that is a user's: extensions, types, tables and views, columns, constraints,
indexes, sequences, functions, triggers, rules, policies and comments. Left out are owners and grants, which
belong to the place, and what is rare: operators, casts, publications, event triggers.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

_QUERY: Final = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

# PostgreSQL writes `x IN ('a', 'b')` of a varchar in one way when it reads that, and in another when it reads
# its own words again: after pg_dump, or when the column's type was changed. Both mean the same.
_LITERAL = r"'(?:[^']|'')*'::character varying"
_LIST_AS_FIRST_READ = re.compile(rf"\(ARRAY\[({_LITERAL}(?:, {_LITERAL})*)\]\)::text\[\]")


@dataclass(frozen=True, slots=True)
class Fact:
    """One object: its kind, the schema and the relation it belongs to (if any), its name, and all about it.

    Names are written in full and quoted where SQL needs it.
    """

    kind: str
    schema: str | None
    relation: str | None
    name: str
    facts: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.facts}" if self.facts else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A schema at one moment, as facts sorted by kind and name; equal schemas give equal snapshots."""

    facts: tuple[Fact, ...]

    def __post_init__(self) -> None:
        # Here, and not by the server: its order depends on the database's collation.
        in_order = sorted(self.facts, key=lambda fact: (fact.kind, fact.name, fact.facts))
        object.__setattr__(self, "facts", tuple(in_order))

    @property
    def digest(self) -> str:
        """A short text that two snapshots share when they are equal."""
        return hashlib.sha256("\n".join(map(str, self.facts)).encode()).hexdigest()

    def without(self, tables: Collection[str]) -> "Snapshot":
        """Return the snapshot without these tables ("schema.table") and what belongs to them."""
        return Snapshot(tuple(fact for fact in self.facts if fact.relation not in tables))

    def within(self, schema: str) -> "Snapshot":
        """Return what stands in this schema (quoted where SQL needs it), without the schema itself."""
        return Snapshot(tuple(fact for fact in self.facts if fact.schema == schema))

    def renamed(self, old: str, new: str) -> "Snapshot":
        """Return the snapshot with `new` in the place of `old`, a word that must not be part of another."""
        return Snapshot(
            tuple(
                Fact(
                    fact.kind,
                    fact.schema and fact.schema.replace(old, new),
                    fact.relation and fact.relation.replace(old, new),
                    fact.name.replace(old, new),
                    fact.facts.replace(old, new),
                )
                for fact in self.facts
            )
        )

    def as_json(self) -> list[dict[str, str]]:
        """Return the facts as JSON has them: a list of objects with kind, name and facts."""
        return [{"kind": fact.kind, "name": fact.name, "facts": fact.facts} for fact in self.facts]


async def snapshot(connection: asyncpg.Connection) -> Snapshot:
    """Read the schema of the connection's database; leaves no trace, in an open transaction either."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL search_path = ''")
        rows = await connection.fetch(_QUERY)
    finally:
        await transaction.rollback()
    return Snapshot(
        tuple(
            Fact(row["kind"], row["schema"], row["relation"], row["name"], _as_read_again(row["facts"]))
            for row in rows
        )
    )


def diff(expected: Snapshot, actual: Snapshot) -> tuple[str, ...]:
    """Return a line for each fact that only one of them has: "- " expected alone, "+ " actual alone."""
    missing = [(fact, "-") for fact in set(expected.facts) - set(actual.facts)]
    extra = [(fact, "+") for fact in set(actual.facts) - set(expected.facts)]
    in_order = sorted(missing + extra, key=lambda each: (each[0].kind, each[0].name, each[1] == "+"))
    return tuple(f"{sign} {fact}" for fact, sign in in_order)


def _as_read_again(text: str) -> str:
    return _LIST_AS_FIRST_READ.sub(
        lambda match: f"ARRAY[{re.sub(f'({_LITERAL})', r'(\1)::text', match[1])}]", text
    )
