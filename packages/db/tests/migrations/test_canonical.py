"""Which changes of a migration file are an edit, and which only say the same in other words."""

import pytest

from sherpa.db.migrations.review.canonical import is_same

SOURCE = '''"""Why and how."""

from sherpa.db.migrations.migration import Migration

ID = "001_a"
VERSION = "1.38.0"
DESCRIPTION = "a table"

FORWARDS = """
-- A table.
CREATE TABLE t (a text DEFAULT 'x  y');
"""

BACKWARDS = ("DROP TABLE t", "SELECT 1")


async def count(run):
    """Count."""
    return 1_000


forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Why and how."""', '"""For another reason."""'),
        ('"""Why and how."""\n', ""),
        ("-- A table.", "-- Another comment; with 'quotes"),
        ("CREATE TABLE t (a text", "CREATE TABLE t\n(\n    a text"),
        ('"DROP TABLE t", "SELECT 1"', '"DROP   TABLE t;",\n    "SELECT 1",\n'),
        ('"a table"', '"the first table"'),
        ('    """Count."""\n', "    # counts\n"),
        ("1_000", "1000"),
        ('ID = "001_a"', "ID = '001_a'  # the first"),
        ('FORWARDS = """', 'FORWARDS = u"""'),
        ("\n", "\n\n"),
    ],
    ids=[
        "docstring",
        "no docstring",
        "comment in SQL",
        "layout of SQL",
        "layout of statements",
        "description",
        "docstring of code",
        "number",
        "quotes",
        "prefix",
        "empty lines",
    ],
)
def test_other_words_are_no_edit(old: str, new: str) -> None:
    """Comments, docstrings, the description, formatting and quotes may change."""
    present = SOURCE.replace(old, new)

    assert present != SOURCE
    assert is_same(SOURCE, present)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CREATE TABLE t", "CREATE TABLE t2"),
        ("'x  y'", "'x y'"),
        ('"DROP TABLE t", "SELECT 1"', '"SELECT 1", "DROP TABLE t"'),
        ("backwards=BACKWARDS", "backwards=FORWARDS"),
        ("backwards=BACKWARDS)", "backwards=BACKWARDS, transaction=False)"),
        ("1_000", "1_001"),
        ("async def count", "def count"),
    ],
)
def test_other_deeds_are_an_edit(old: str, new: str) -> None:
    """What the file does, and how it is run, may not change."""
    assert not is_same(SOURCE, SOURCE.replace(old, new))


def test_string_put_together_is_kept_to_the_letter() -> None:
    """A string in pieces is not read as SQL: a piece may begin in the middle of a literal."""
    one = "FORWARDS = f\"SELECT '{x}  y'\""

    assert not is_same(one, one.replace("  ", " "))


@pytest.mark.parametrize("text", ["CREATE TABLE t ()", "x = (", "\0", "(" * 5000])
def test_no_python_is_the_same_as_itself_alone(text: str) -> None:
    """What was recorded in no way that this Python reads is no crash."""
    assert is_same(text, text)
    assert not is_same(text, SOURCE)


def test_absent_source_is_no_edit() -> None:
    """What an older runner left out differs from nothing."""
    assert is_same(None, SOURCE)


def test_old_text_is_read_without_a_warning() -> None:
    """A recorded text that a newer Python frowns upon is compared all the same."""
    assert is_same('x = "\\d"', 'x = "\\d" # digits')
