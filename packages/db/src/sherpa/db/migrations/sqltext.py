"""SQL without what PostgreSQL does not read: comments, and the amount of white space between words.

What stands in quotes of any kind is kept to the letter, so texts of one form mean the same to the server.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

_SPACE: Final = r" \t\n\r\f\v"
# As in PostgreSQL's own lexer: every character beyond ASCII belongs to a word, a non-breaking space, too.
_LETTER: Final = r"A-Za-z_\x80-\U0010ffff"
_PLAIN: Final = r"'(?:[^']|'')*+'"
_ESCAPED: Final = r"'(?:[^'\\]|\\.|'')*+'"
# A string goes on, with the escapes of its first part, where a line break stands before the next quote.
_GOES_ON: Final = rf"(?:[ \t\f\v]|--[^\n\r]*)*+[\n\r](?:[{_SPACE}]|--[^\n\r]*[\n\r])*+"
_TOKEN: Final = rf"""
      (?P<gap>[{_SPACE}]+ | --[^\n\r]*)
    | (?P<comment>/\*)
    | [eE]{_ESCAPED}(?:{_GOES_ON}{_ESCAPED})*+
    | {_PLAIN}(?:{_GOES_ON}{_PLAIN})*+
    | "(?:[^"]|"")*+"
    | (?P<dollar>\$(?:[{_LETTER}][{_LETTER}0-9]*)?\$)
    | (?P<open>[eE]?' | ")
    | [{_LETTER}][{_LETTER}0-9$]* | [0-9][{_LETTER}0-9]*
    | .
"""
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_BODY: Final = re.compile(r"(\$[^$]*\$)(.*)\1", re.DOTALL)
_GAP: Final = " "

# White space never matters beside these; beside an operator it may: `@-1` is another thing than `@ -1`.
_APART: Final = frozenset("()[],;")


def normalise(sql: str) -> str:
    """Return the statements with one blank or none between words: equal texts have equal meanings.

    The PL/pgSQL of DO blocks is normalised as well; that of functions is not, for the server stores it to
    the letter. What is not closed, a quote or a comment, reaches to the end.
    """
    statements = (_write(_open_block(statement)) for statement in _split(_read(sql)))
    return ";".join(statement for statement in statements if statement)


def has_statement(sql: str) -> bool:
    """Tell whether anything stands there but comments, white space and semicolons."""
    return any(part not in {_GAP, ";"} for part in _read(sql))


def without_word(sql: str, word: str) -> str:
    """Return the statements without this word wherever it stands outside quotes, and without comments."""
    return "".join(part for part in _read(sql) if part.upper() != word.upper())


def _read(sql: str) -> Iterator[str]:
    """Yield the words, literals and marks, and a blank for each stretch of white space or comment."""
    token, at = _token(), 0
    while match := token.match(sql, at):
        at = match.end()
        match match.lastgroup:
            case "gap":
                yield _GAP
            case "comment":
                at = _end_of_comment(sql, at)
                yield _GAP
            case "dollar":
                end = sql.find(match.group(), at)
                at = len(sql) if end < 0 else end + len(match.group())
                yield sql[match.start() : at]
            case "open":
                at = len(sql)
                yield sql[match.start() :]
            case _:
                yield match.group()


@cache
def _token() -> re.Pattern[str]:
    # Compiled when first needed: that takes 20 ms, and a run with nothing to do reads no SQL.
    return re.compile(_TOKEN, re.VERBOSE | re.DOTALL)


def _end_of_comment(sql: str, at: int) -> int:
    """Return where the comment ends whose beginning was read; comments stand in comments."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, at):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end()
    return len(sql)


def _split(parts: Iterable[str]) -> Iterator[list[str]]:
    statement: list[str] = []
    for part in parts:
        if part == ";":
            yield statement
            statement = []
        else:
            statement.append(part)
    yield statement


def _open_block(statement: Sequence[str]) -> list[str]:
    """Return a DO statement with its body normalised, where that is PL/pgSQL; any other as it is."""
    words = [part for part in statement if part != _GAP]
    around = [word.upper() for word in words if not _BODY.fullmatch(word)]
    if len(words) != len(around) + 1 or around not in (["DO"], ["DO", "LANGUAGE", "PLPGSQL"]):
        return list(statement)
    return [_BODY.sub(_normalise_body, part) if _BODY.fullmatch(part) else part for part in statement]


def _normalise_body(quoted: re.Match[str]) -> str:
    tag, body = quoted.groups()
    return f"{tag}{normalise(body)}{tag}"


def _write(statement: Sequence[str]) -> str:
    """Join the parts; one blank stays where there was a gap and it may matter."""
    parts = [part for part, after in pairwise([*statement, _GAP]) if part != _GAP or after != _GAP]
    edged = zip([",", *parts], parts, [*parts[1:], ","], strict=False)
    return "".join(part for before, part, after in edged if part != _GAP or not {before, after} & _APART)
