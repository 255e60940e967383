"""Exceptions: the comment above a statement that lets one of Squawk's rules pass, with the reason."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FORM = "-- squawk-ignore RULE[, RULE] -- the reason, in words (or squawk-ignore-file, for the whole script)"

_MENTION = re.compile(r"squawk-(?:ignore|disable)")
_RULE = r"[a-z]+(?:-[a-z]+)*"
_COMMENT = re.compile(
    rf"--\s*squawk-ignore(?:-file)?\s+(?P<rules>{_RULE}(?:\s*,\s*{_RULE})*)\s+--\s+(?P<reason>\w\S*\s+\S.*)"
)


@dataclass(frozen=True, slots=True)
class Excepted:
    """A rule that the comment in line `row` of the SQL lets pass."""

    row: int
    rule: str


def malformed(sql: str) -> Iterator[int]:
    """Yield the lines whose comment names no rule, gives no reason, or switches more of Squawk off."""
    for row, line in enumerate(sql.split("\n")):
        if _MENTION.search(line) and not _COMMENT.search(line):
            yield row


def excepted(sql: str) -> Iterator[Excepted]:
    """Yield each rule that a comment lets pass."""
    for row, line in enumerate(sql.split("\n")):
        if comment := _COMMENT.search(line):
            for rule in re.findall(_RULE, comment["rules"]):
                yield Excepted(row, rule)


def without(sql: str, exception: Excepted) -> str:
    """Take one rule out of its comment. Every line of the SQL stays where it was."""
    lines = sql.split("\n")
    lines[exception.row] = _COMMENT.sub(
        lambda comment: _spell(comment, exception.rule), lines[exception.row], count=1
    )
    return "\n".join(lines)


def _spell(comment: re.Match[str], gone: str) -> str:
    left = [rule for rule in re.findall(_RULE, comment["rules"]) if rule != gone]
    # Without any rule Squawk would let every rule pass, so the whole comment goes.
    return comment[0].replace(comment["rules"], ", ".join(left), 1) if left else "--"
