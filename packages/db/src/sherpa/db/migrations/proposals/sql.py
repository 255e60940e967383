"""SQL as people write it, from SQL as PostgreSQL's catalogue tells it, which it then tells again."""

import re
from typing import Final

_QUOTED: Final = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
LITERAL: Final = r"'(?:[^']|'')*'"
TEXT_CAST: Final = r"::(?:character varying|text)"
# `x IN ('a', 'b')` is told as `((x)::text = ANY (ARRAY[('a'::character varying)::text, …]))`, and with fewer
# casts where x is text.
_WORD: Final = rf"(?:\({LITERAL}{TEXT_CAST}\)::text|{LITERAL}{TEXT_CAST})"
_LIST: Final = re.compile(
    rf"\((?:\((?P<cast>\w+|\"[^\"]+\")\)::text|(?P<plain>\w+|\"[^\"]+\")) (?P<sign>= ANY|<> ALL) "
    rf"\(ARRAY\[(?P<words>{_WORD}(?:, {_WORD})*)\]\)\)"
)
_OUTER: Final = re.compile(r"CHECK \(\((?P<inner>.*)\)\)(?P<rest>(?: NO INHERIT)?(?: NOT VALID)?)", re.DOTALL)

_LONGEST_NAME: Final = 63


def unqualified(text: str, schema: str) -> str:
    """Return the SQL without `schema.` before its names; quoted texts stay as they are."""
    pattern = rf"({_QUOTED})|(?<![\w.]){re.escape(schema)}\."
    return re.sub(pattern, lambda match: match[1] or "", text)


def readable(text: str) -> str:
    """Return a constraint or an index in the words that a migration uses."""
    text = _LIST.sub(_as_in, text).replace(" USING btree ", " ")
    if (outer := _OUTER.fullmatch(text)) and _is_balanced(outer["inner"]):
        text = f"CHECK ({outer['inner']}){outer['rest']}"
    return text


def joined_name(*parts: str) -> str:
    """Return a constraint's name made of others' names, as long as PostgreSQL permits."""
    # Cut at the front: what tells the constraints of one table apart, the column, stands behind.
    return "_".join(re.sub(r"\W+", "_", part.strip('"')) for part in parts)[-_LONGEST_NAME:].lower()


def _as_in(match: re.Match[str]) -> str:
    sign = "IN" if match["sign"] == "= ANY" else "NOT IN"
    words = ", ".join(re.findall(LITERAL, match["words"]))
    return f"({match['cast'] or match['plain']} {sign} ({words}))"


def _is_balanced(text: str) -> bool:
    depth = 0
    for token in re.findall(rf"{_QUOTED}|[()]", text):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            return False
    return depth == 0
