"""What the page promises of its recipes as a whole, and of the triggers that keep two columns equal."""

import re
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from packages.db.tests.migrations.recipes.conftest import PAGE, RECIPES, ROWS, SCHEMA, TEXT, Recipe, Step

MIGRATIONS = [
    pytest.param(step, id=f"{recipe.title}, {number}")
    for recipe in RECIPES
    for number, step in enumerate(recipe.migrations, 1)
]


def _first_migration(title: str) -> str:
    (recipe,) = (recipe for recipe in RECIPES if recipe.title == title)
    return "\n".join(statement.sql for statement in recipe.migrations[0].forwards)


@pytest.fixture
async def members(empty_connection: asyncpg.Connection) -> asyncpg.Connection:
    """Return a session on a database with the page's tables and some rows."""
    await empty_connection.execute(SCHEMA + ROWS)
    return empty_connection


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_releases_come_in_order(recipe: Recipe) -> None:
    """A release has its migrations before its code, and nothing goes back to an earlier release."""
    order = [(step.release, step.kind == "code") for step in recipe.steps]

    assert sorted(order) == order


@pytest.mark.parametrize("step", MIGRATIONS)
def test_nothing_is_read_behind_a_strong_lock(step: Step) -> None:
    """In one transaction, what takes long comes before what blocks; in none, each statement is alone."""
    for way in (step.forwards, step.backwards):
        blocking = False
        for statement in way if step.transaction else ():
            assert statement.work == "instant" or not blocking, statement.sql
            blocking = blocking or statement.blocks != "nothing"


async def test_renamed_column_is_one(members: asyncpg.Connection) -> None:
    """Whichever name the code writes, the other one has it; a row from before gets it when it is written."""
    await members.execute(_first_migration("Rename a column"))

    await members.execute("""
        INSERT INTO members (email, tier, city) VALUES ('old', 'free', 'Lyon');
        INSERT INTO members (email, tier, town) VALUES ('new', 'free', 'Lyon');
        INSERT INTO members (email, tier, city) VALUES ('both', 'free', 'Lyon');
        UPDATE members SET town = 'Nice' WHERE email = 'both';
        INSERT INTO members (email, tier, town) VALUES ('back', 'free', 'Lyon');
        UPDATE members SET city = 'Nice' WHERE email = 'back';
        INSERT INTO members (email, tier, town) VALUES ('none', 'free', 'Lyon');
        UPDATE members SET town = NULL WHERE email = 'none';
        UPDATE members SET seats = 2 WHERE email = 'm2';
    """)

    rows = await members.fetch(
        "SELECT email, city, town FROM members WHERE town IS NOT NULL OR email = 'none'"
    )
    assert {
        ("old", "Lyon", "Lyon"),
        ("new", "Lyon", "Lyon"),
        ("both", "Nice", "Nice"),
        ("back", "Nice", "Nice"),
        ("none", None, None),
        ("m2", "Oslo", "Oslo"),
    } == {tuple(row) for row in rows}


async def test_retyped_column_is_one(members: asyncpg.Connection) -> None:
    """Either type's writes are seen by the other; what the old type can't hold shows as its largest value."""
    await members.execute(_first_migration("Change a column's type") + "TRUNCATE charges;")

    await members.execute("""
        INSERT INTO charges (member_id, amount) VALUES (gen_random_uuid(), 5);
        INSERT INTO charges (member_id, amount_cents) VALUES (gen_random_uuid(), 6);
        INSERT INTO charges (member_id, amount_cents) VALUES (gen_random_uuid(), 3000000000);
        UPDATE charges SET amount = 7 WHERE amount = 5;
        UPDATE charges SET amount_cents = 8 WHERE amount_cents = 6;
        UPDATE charges SET note = 'by code that knows the old type alone' WHERE amount > 8;
    """)

    rows = await members.fetch("SELECT amount, amount_cents FROM charges")
    assert {(7, 7), (8, 8), (2147483647, 3000000000)} == {tuple(row) for row in rows}


async def test_split_table_follows(members: asyncpg.Connection) -> None:
    """What is written to the old column stands in the new table at once."""
    await members.execute(_first_migration("Split a table"))

    await members.execute("""
        INSERT INTO members (email, tier, city) VALUES ('old', 'free', 'Lyon');
        UPDATE members SET city = 'Nice' WHERE email = 'old';
    """)

    assert "Nice" == await members.fetchval(
        "SELECT a.city FROM addresses a JOIN members m ON m.id = a.member_id WHERE m.email = 'old'"
    )


def _anchor(heading: str) -> str:
    """Return what a page's readers turn a heading into."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_overview_is_true() -> None:
    """The table at the top has each recipe, with its releases and what it costs."""
    rows = re.findall(r"^\| \[(.+)\]\(#(.+)\) \| (\d) \| (.+) \|$", TEXT, re.MULTILINE)

    assert rows == [
        (
            recipe.title,
            _anchor(recipe.title),
            str(max(step.release for step in recipe.steps)),
            ", ".join(_costs(recipe)) or "instant",
        )
        for recipe in RECIPES
    ]


def _costs(recipe: Recipe) -> Iterator[str]:
    if any(each.work != "instant" for step in recipe.migrations for each in step.forwards):
        yield "reads it"
    if any(step.is_python for step in recipe.migrations):
        yield "writes rows in batches"


@pytest.mark.parametrize("page", sorted(PAGE.parent.glob("migration*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link from one of the two pages to a heading finds that heading."""
    links = re.findall(r"\]\(((?:migration[\w-]*\.md)?)#([^)]+)\)", page.read_text(encoding="utf-8"))

    lost = [
        anchor
        for name, anchor in links
        if anchor not in map(_anchor, re.findall(r"^#+ (.+)$", _text(name or page.name), re.MULTILINE))
    ]

    assert links
    assert [] == lost


def _text(name: str) -> str:
    return (PAGE.parent / name).read_text(encoding="utf-8")
