"""SQL in its normal form: layout and comments make no difference, everything else does."""

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sherpa.db.migrations.sqltext import normalise

LITERALS = st.one_of(
    st.text("ab '\\-/*$\n", max_size=8).map(lambda text: f"'{text.replace("'", "''")}'"),
    st.text("ab '-/*$\n", max_size=8).map(lambda text: f"E'{text.replace("'", "\\'")}'"),
    st.text("ab '\"-/*\n", max_size=8).map(lambda text: f"$$x{text}$$"),
    st.text("ab '\"-/*\n", max_size=8).map(lambda text: f"$t${text}$t$"),
    st.integers(0, 99).map(str),
)
GAPS = st.lists(
    st.sampled_from([" ", "\n", "\t", "-- it's\n", "--\r", "/**/", "/* a /* b */ ; ' */", "/*--*/"]),
    max_size=3,
).map("".join)
WORDS = st.sampled_from(
    [
        "a",
        "b1",
        "a$b$c",
        '"x -- y"',
        '"a""b"',
        "'it''s'",
        "E'\\''",
        "$$ -- no $$",
        "$q$ a  b $q$",
        "(",
        ")",
        ",",
        "1.5",
    ]
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CREATE TABLE t (a int)", "CREATE TABLE t(\n    a int -- the only one\n);"),
        ("SELECT 1; SELECT 2", "-- both\nSELECT 1;\n\n;SELECT 2;\n"),
        ("SELECT a/* x /* y */ z */FROM t", "SELECT a FROM t"),
        ("DO $$BEGIN NULL; END$$", "DO $$\nBEGIN\n    NULL; -- nothing\nEND\n$$;"),
        ("DO LANGUAGE plpgsql $x$BEGIN END$x$", "DO LANGUAGE plpgsql\n$x$ BEGIN END $x$"),
        ("DO $$BEGIN END$$ LANGUAGE plpgsql", "DO $$ BEGIN END $$\nLANGUAGE plpgsql"),
        ("SELECT count ( * ) , 'a'", "SELECT count(*),'a'"),
        ("SELECT a [ 1 ]", "SELECT a[1]"),
    ],
)
def test_layout_makes_no_difference(one: str, other: str) -> None:
    """Comments, line breaks, blanks beside brackets and empty statements are not read."""
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT 'a  b'", "SELECT 'a b'"),
        ("SELECT 'a -- b'", "SELECT 'a '"),
        ("SELECT E'\\'  '", "SELECT E'\\' '"),
        ("SELECT E'a'\n'\\'  b'", "SELECT E'a'\n'\\' b'"),
        ("SELECT 'a'\n'b'", "SELECT 'a' 'b'"),
        ('SELECT "a  b"', 'SELECT "a b"'),
        ("SELECT $$a  b$$", "SELECT $$a b$$"),
        ("SELECT $q$ $$ -- x $$ $q$", "SELECT $q$ $$ $$ $q$"),
        ("CREATE FUNCTION f() AS $$SELECT 1 -- x\n$$", "CREATE FUNCTION f() AS $$SELECT 1$$"),
        ("DO LANGUAGE plpython3u $$a\n  b$$", "DO LANGUAGE plpython3u $$a\nb$$"),
        ("DO $$a\n  b$$ LANGUAGE plpython3u", "DO $$a\nb$$ LANGUAGE plpython3u"),
        ("DO $$BEGIN RAISE 'a  b'; END$$", "DO $$BEGIN RAISE 'a b'; END$$"),
        ("SELECT @ -1", "SELECT @-1"),
        ("SELECT a$b$  c$b$", "SELECT a$b$c$b$"),
        ("SELECT a b", "SELECT ab"),
        ("SELECT 1", "SELECT 2"),
        ("SELECT 'open  ", "SELECT 'open "),
        ("SELECT \u00a0 a", "SELECT a"),
    ],
)
def test_what_is_read_makes_a_difference(one: str, other: str) -> None:
    """What stands in quotes of any kind, and what parts two words, is kept."""
    assert normalise(one) != normalise(other)


@given(st.lists(st.tuples(WORDS, GAPS, GAPS), max_size=8))
def test_gaps_are_alike(words: list[tuple[str, str, str]]) -> None:
    """Between words any gap is as good as any other, and the normal form is its own."""
    one = "".join(f" {gap}{word}" for word, gap, _ in words)
    other = "".join(f"\n{gap}{word}" for word, _, gap in words)

    assert normalise(f"x {one}") == normalise(normalise(f"x {one}"))
    if not any(word.endswith("'") for word, _, _ in words):  # one string goes on after a line break
        assert normalise(f"x{one}") == normalise(f"x{other}")


@given(st.text("aE'\"\\$-/*;,()[ \n\t1@", max_size=30))
def test_any_text_has_one_normal_form(text: str) -> None:
    """Whatever somebody writes, SQL or not, the normal form of its normal form is the same."""
    assert normalise(normalise(text)) == normalise(text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(values=st.lists(st.tuples(LITERALS, GAPS), min_size=1, max_size=4))
async def test_server_reads_the_same(connection: asyncpg.Connection, values: list[tuple[str, str]]) -> None:
    """To PostgreSQL itself a statement and its normal form mean the same."""
    statement = (
        "SELECT ARRAY[" + ",".join(f"{gap}({gap}{text}{gap})::text{gap}" for text, gap in values) + "]"
    )

    assert await connection.fetchval(statement) == await connection.fetchval(normalise(statement))
