"""Dangerous DDL stops: planted migrations are refused with the safe way, and our own have none that is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sherpa.db.migrations.files import list_files
from sherpa.devstack.sqllint.__main__ import CONFIG, MIGRATIONS, main
from sherpa.devstack.sqllint.findings import WAY_BACK_MAY, Finding, lint
from sherpa.devstack.sqllint.recipes import RECIPES
from sherpa.devstack.sqllint.scripts import read_scripts

ROOT = Path(__file__).parents[1]
MIGRATION = '''"""Planted."""

from sherpa.db.migrations.migration import Migration

ID = "001_planted"
VERSION = "1.38.0"
DESCRIPTION = "planted"

FORWARDS = """
{forwards}
"""

BACKWARDS = """
{backwards}
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
'''
FIRST_LINE = 10  # of `forwards`, in the file
HARMLESS = "SELECT 1;"

type Find = Callable[..., list[Finding]]
type Plant = Callable[[str], Path]

USED_NO_LONGER = "a release whose code uses it no longer"
# What is dangerous, the rule that says so, and words of the safe way.
DANGEROUS = {
    "ALTER TABLE memberships ADD COLUMN a text NOT NULL;": ("adding-required-field", "fill it in batches"),
    "ALTER TABLE memberships ADD COLUMN a uuid DEFAULT gen_random_uuid();": (
        "adding-field-with-default",
        "fill it in batches",
    ),
    "CREATE INDEX by_tier ON memberships (tier);": ("require-concurrent-index-creation", "transaction=False"),
    "DROP INDEX by_tier;": ("require-concurrent-index-deletion", "DROP INDEX CONCURRENTLY IF EXISTS"),
    "ALTER TABLE memberships ALTER COLUMN tier TYPE integer;": ("changing-column-type", "write both"),
    "ALTER TABLE memberships ADD CONSTRAINT one UNIQUE (tier);": (
        "disallowed-unique-constraint",
        "UNIQUE USING INDEX",
    ),
    "ALTER TABLE memberships ADD CONSTRAINT known FOREIGN KEY (user_id) REFERENCES users (id);": (
        "adding-foreign-key-constraint",
        "VALIDATE CONSTRAINT in the next migration",
    ),
    "ALTER TABLE memberships ADD CONSTRAINT short CHECK (length(tier) < 9);": (
        "constraint-missing-not-valid",
        "`NOT VALID`",
    ),
    "ALTER TABLE memberships DROP COLUMN tier;": ("ban-drop-column", USED_NO_LONGER),
    "DROP TABLE memberships;": ("ban-drop-table", USED_NO_LONGER),
    "ALTER TABLE memberships ALTER COLUMN tier SET NOT NULL;": (
        "adding-not-nullable-field",
        "VALIDATE CONSTRAINT",
    ),
    "ALTER TABLE memberships ALTER COLUMN tier DROP NOT NULL;": ("ban-drop-not-null", "can read NULL"),
    "ALTER TABLE memberships RENAME COLUMN tier TO level;": ("renaming-column", "write both"),
    "ALTER TABLE memberships RENAME TO members;": ("renaming-table", "view with the old name"),
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_tier ON memberships (tier);": (
        "ban-concurrent-index-creation-in-transaction",
        "outside any transactions",
    ),
    "ALTER TABLE memberships DROP CONSTRAINT one;": ("ban-drop-constraint", "relies on it no longer"),
    "DROP VIEW members;": ("ban-drop-view", USED_NO_LONGER),
    "ALTER TYPE tier RENAME TO level;": ("renaming-object", "let both be"),
    "COMMIT;": ("transaction-nesting", "separate"),
    "TRUNCATE memberships CASCADE;": ("ban-truncate-cascade", "Remove the `CASCADE`"),
    "DO $$ BEGIN DROP TABLE memberships; END $$;": ("unread-block", "look at it yourself"),
    "SELECT 'é'; /* so */ do language plpgsql 'BEGIN DROP TABLE memberships; END';": (
        "unread-block",
        "look at it yourself",
    ),
    "CALL clean_up();": ("unread-block", "look at it yourself"),
}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Return a function that writes the text of a migration to a folder and returns that."""

    def write(text: str) -> Path:
        (tmp_path / "sherpa_001_planted.py").write_text(text)
        return tmp_path

    return write


@pytest.fixture
def find(plant: Plant) -> Find:
    """Return a function that lints a migration made of SQL."""

    def find(forwards: str = HARMLESS, backwards: str = HARMLESS) -> list[Finding]:
        (file,) = list_files(plant(MIGRATION.format(forwards=forwards, backwards=backwards)))
        return [each for script in read_scripts(file) for each in lint(script, ROOT / CONFIG)]

    return find


def rules(findings: list[Finding]) -> list[str]:
    """Return the names of the rules that were broken."""
    return [finding.rule for finding in findings]


def test_our_migrations_are_safe() -> None:
    """Nothing in the migrations is dangerous, but for what they except themselves, with reasons."""
    assert 0 == main(ROOT / MIGRATIONS, ROOT / CONFIG)


@pytest.mark.parametrize("sql", DANGEROUS)
def test_dangerous_ddl_stops(find: Find, sql: str) -> None:
    """It is found where it stands in the file, and the advice holds the recipe."""
    rule, recipe = DANGEROUS[sql]

    found = [each for each in find(f"-- Why.\n{sql}") if each.rule == rule]

    assert [(FIRST_LINE + 1, "forwards")] == [(each.line, each.way) for each in found]
    assert recipe in found[0].advice


@pytest.mark.parametrize("sql", DANGEROUS)
def test_exception_with_reason_lets_pass(find: Find, sql: str) -> None:
    """What is excepted by name, with a reason, passes; nothing else does with it."""
    named = ", ".join(sorted(set(rules(find(sql)))))

    assert [] == find(f"-- squawk-ignore {named} -- nobody uses this table yet\n{sql}")


@pytest.mark.parametrize("sql", ["DROP TABLE a;\nDROP TABLE b;", "DROP TABLE a;\n\nDROP TABLE b;"])
def test_exception_counts_for_the_next_line(find: Find, sql: str) -> None:
    """What follows below the excepted statement is found all the same."""
    found = find(f"-- squawk-ignore ban-drop-table -- nobody uses it\n{sql}")

    assert [("ban-drop-table", FIRST_LINE + 1 + sql.count("\n"))] == [(e.rule, e.line) for e in found]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE memberships DROP COLUMN tier;",
        "DROP TABLE memberships;",
        "ALTER TABLE memberships ALTER COLUMN tier DROP NOT NULL;",
        "ALTER TABLE memberships DROP CONSTRAINT one;",
        "DROP VIEW members;",
    ],
)
def test_way_back_may_drop(find: Find, sql: str) -> None:
    """To take away what `forwards` made is what a way back is for."""
    assert [] == find(backwards=sql)


def test_what_a_way_back_may_has_a_recipe_forwards() -> None:
    """Squawk has no advice for drops; forwards, where they stop, we say how they are done."""
    assert set() == WAY_BACK_MAY - RECIPES.keys()


def test_way_back_may_do_nothing_else(find: Find) -> None:
    """What blocks an application blocks it on the way back, too."""
    found = find(backwards="ALTER TABLE memberships ALTER COLUMN tier SET NOT NULL;")

    assert [("adding-not-nullable-field", "backwards", 14)] == [(e.rule, e.way, e.line) for e in found]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE a (b text NOT NULL UNIQUE); CREATE INDEX c ON a (b);",
        "ALTER TABLE memberships ADD COLUMN nickname text;",
        "INSERT INTO memberships VALUES (1)\nON CONFLICT\nDO NOTHING;",
        "ALTER TABLE memberships ADD COLUMN nickname text NOT NULL DEFAULT '';",
        "ALTER TABLE memberships ADD CONSTRAINT c CHECK (tier IS NOT NULL) NOT VALID;",
        "ALTER TABLE a VALIDATE CONSTRAINT c; ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
        "ALTER TABLE memberships ADD CONSTRAINT one UNIQUE USING INDEX by_tier;",
    ],
)
def test_safe_way_passes(find: Find, sql: str) -> None:
    """What the recipes advise needs no exception."""
    assert [] == find(sql)


@pytest.mark.parametrize(
    "comment",
    [
        "-- squawk-ignore ban-drop-table",
        "-- squawk-ignore ban-drop-table -- ",
        "-- squawk-ignore ban-drop-table -- ok",
        "-- squawk-ignore ban-drop-table: nobody uses it",
        "/* squawk-ignore ban-drop-table */",
        "-- squawk-ignore-file -- nobody uses any of it",
        "-- squawk-disable-assume-in-transaction",
    ],
)
def test_exception_needs_rule_and_reason(find: Find, comment: str) -> None:
    """An exception that names no rule or gives no reason is a finding, with the form to write."""
    found = [each for each in find(f"{comment}\nDROP TABLE memberships;") if "exception" in each.rule]

    assert [("exception-without-reason", FIRST_LINE)] == [(each.rule, each.line) for each in found]
    assert "-- squawk-ignore RULE" in found[0].advice


@pytest.mark.parametrize(
    "sql",
    [
        "-- squawk-ignore ban-drop-table -- nobody uses it\nSELECT 1;",
        "-- squawk-ignore ban-drop-table -- nobody uses it\n\n-- Why.\nSELECT 1;",
        "-- squawk-ignore-file ban-drop-table -- nobody uses it\nSELECT 1;",
        "-- squawk-ignore ban-drop-table, renaming-table -- nobody uses it\nDROP TABLE memberships;",
        "-- squawk-ignore unread-block -- nobody uses it\nSELECT 1;",
    ],
)
def test_unused_exception_goes(find: Find, sql: str) -> None:
    """An exception that lets nothing pass is a finding: it would let the next thing pass."""
    assert ["unused-exception"] == rules(find(sql))


def test_way_back_needs_no_exception_for_what_it_may(find: Find) -> None:
    """On a way back, an exception for a drop is one that nothing needs."""
    found = find(backwards="-- squawk-ignore ban-drop-table -- nobody uses it\nDROP TABLE a;")

    assert ["unused-exception"] == rules(found)


def test_unknown_rule_is_named(find: Find) -> None:
    """A rule that there is none of, as after a slip of the pen, is a finding."""
    found = find("-- squawk-ignore ban-drop-tables -- nobody uses it\nDROP TABLE memberships;")

    assert ["unused-ignore", "ban-drop-table"] == rules(found)


def test_broken_sql_is_found(find: Find) -> None:
    """SQL that PostgreSQL would refuse is found without a server."""
    assert "syntax-error" in rules(find("ALTR TABLE memberships;"))


def test_statements_without_transaction(plant: Plant) -> None:
    """Without a transaction, each statement of a tuple is read, and must be one that may run twice."""
    text = MIGRATION.format(forwards="", backwards="DROP INDEX CONCURRENTLY IF EXISTS by_tier").replace(
        'FORWARDS = """\n\n"""',
        'FORWARDS = (\n    "CREATE INDEX CONCURRENTLY IF NOT EXISTS by_tier ON memberships (tier)",\n'
        '    "ALTER TABLE memberships ADD COLUMN nickname text -- why",\n'
        '    """\n    CREATE INDEX IF NOT EXISTS by_both ON memberships (tier, status)""",\n)',
    )
    (file,) = list_files(plant(text.replace("=BACKWARDS", "=(BACKWARDS,), transaction=False")))

    found = [each for script in read_scripts(file) for each in lint(script, ROOT / CONFIG)]

    assert [(11, "prefer-robust-stmts"), (13, "require-concurrent-index-creation")] == [
        (each.line, each.rule) for each in found
    ]


def test_batches_are_read_and_code_is_named(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """The statement of a data migration is read; of other code it is said that it wasn't."""
    code = """
async def look(run: object) -> None: ...


BATCHES = Batches("memberships", "id", "UPDAT memberships SET tier = 'x' WHERE id BETWEEN $1 AND $2")
forwards = Migration(ID, DESCRIPTION, forwards=BATCHES, backwards=look, transaction=False)
"""
    imports = "from sherpa.db.migrations.batches import Batches\n"
    folder = plant(imports + MIGRATION.format(forwards=HARMLESS, backwards=HARMLESS) + code)

    ended = main(folder, ROOT / CONFIG)

    said = capsys.readouterr().out
    assert 1 == ended
    assert f"{folder}/sherpa_001_planted.py:23: syntax-error (forwards)" in said
    assert f"{folder}/sherpa_001_planted.py: backwards is code, which Squawk can't read" in said


def test_report_names_place_recipe_and_exception(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed holds the file and line, why, how else, and how to say that it is safe here."""
    folder = plant(MIGRATION.format(forwards="DROP TABLE memberships;", backwards=HARMLESS))

    ended = main(folder, ROOT / CONFIG)

    said = capsys.readouterr().out
    assert 1 == ended
    assert f"{folder}/sherpa_001_planted.py:{FIRST_LINE}: ban-drop-table (forwards): Dropping a table" in said
    assert "  Safe: First a release whose code uses it no longer" in said
    assert "-- squawk-ignore ban-drop-table -- the reason" in said


def test_header_is_finished(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """A word of the template that is left in the header, which the runner lets pass, is a finding."""
    text = MIGRATION.format(forwards=HARMLESS, backwards=HARMLESS)
    folder = plant(f'"""Something.\n\nWhy: TODO\n"""\n{text}')

    ended = main(folder, ROOT / CONFIG)

    assert 1 == ended
    assert f"{folder}/sherpa_001_planted.py:3: unfinished: Why: TODO\n" in capsys.readouterr().out


def test_sql_made_at_import_points_to_its_name(plant: Plant) -> None:
    """SQL that stands nowhere as it is, being put together, is reported at the name that holds it."""
    text = MIGRATION.format(forwards="{TABLE}", backwards=HARMLESS).replace(
        '= """\n{TABLE}', '= f"""\nDROP TABLE of_{ID}'
    )
    (file,) = list_files(plant(text))

    found = [each for script in read_scripts(file) for each in lint(script, ROOT / CONFIG)]

    assert [(9, "ban-drop-table")] == [(each.line, each.rule) for each in found]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "`forwards` must be a Migration"),
        (None, "There are no migrations in"),
    ],
)
def test_nothing_to_read_is_a_failure(
    tmp_path: Path, plant: Plant, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    """A broken migration, and none at all, fail with a sentence."""
    folder = tmp_path if text is None else plant(text)

    assert 1 == main(folder, ROOT / CONFIG)
    assert said in capsys.readouterr().err


def test_faulty_configuration_fails(plant: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    """Where Squawk can't read its configuration nothing passes."""
    folder = plant(MIGRATION.format(forwards=HARMLESS, backwards=HARMLESS))
    (folder / "faulty.toml").write_text("excluded_rules = ['no-such-rule']\n")

    assert (1, 1) == (main(folder, folder / "faulty.toml"), main(folder, folder / "missing.toml"))
    assert "no-such-rule" in capsys.readouterr().err
