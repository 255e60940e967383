"""The text of a migration file: header, both ways, and the one line that the runner reads."""

import re
import textwrap
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from itertools import takewhile
from typing import Final

from sherpa.db.migrations.proposals.plan import Draft
from sherpa.db.migrations.proposals.types import hoist
from sherpa.db.migrations.unfinished import MARK

_LINE: Final = 110
# Less than a line: quotes, an indent and a comma may come to it.
_WIDTH: Final = 105
_TEXT_WIDTH: Final = 80
# Lines, but for those inside of quotes; a text worth breaking; a word of it, where '' is one character.
_LINES: Final = re.compile(r"(?:'(?:[^']|'')*'|[^'\n])+")
_LONG: Final = re.compile(rf"'(?:[^'\n]|''){{{_TEXT_WIDTH},}}'")
_PIECE: Final = re.compile(r"(?:[^' ]|'')+ *| +")
_TOKEN: Final = re.compile(r"(?:'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\s'\"])+|\s+")

EMPTY: Final = Draft(
    suffix="",
    transaction=True,
    forwards=(f"{MARK} the SQL that makes the change, and takes this line's place.",),
    backwards=(f"{MARK} the SQL that takes exactly that back. Never CASCADE.",),
    locks=(
        "TODO which it takes, on what, and for how long (docs/migrations.md has it for each kind of change).",
    ),
)

_FILE: Final = '''"""{title}.

Why: TODO

Locks: {locks}

Way back: {way_back}
"""

from sherpa.db.migrations.migration import Migration

ID = "{id}"
VERSION = "{version}"
DESCRIPTION = "{description}"

{forwards}

{backwards}

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS{options})
'''


def render(migration_id: str, description: str, draft: Draft) -> str:
    """Return the file of a draft, formatted as the formatter would."""
    way = _script if draft.transaction else _statements
    return _FILE.format(
        title=_wrap(_capital(description).rstrip(".!?:;,"), ""),
        locks=_wrap(" ".join(draft.locks), "Locks: "),
        way_back="TODO what it restores, and what is lost.",
        id=migration_id,
        version=version("piccolo"),
        description=description,
        forwards=way("FORWARDS", draft.forwards),
        backwards=way("BACKWARDS", draft.backwards),
        options="" if draft.transaction else ", transaction=False",
    )


def _script(name: str, statements: Sequence[str]) -> str:
    text = "\n\n".join(_end(_wrap_sql(statement)) for statement in statements)
    text = hoist(text)
    return f'{name} = {_raw(text)}"""\n{text}\n"""'


def _statements(name: str, statements: Sequence[str]) -> str:
    """A tuple: each is sent by itself."""
    if len(statements) == 1 and '"' not in statements[0]:
        alone = f'{name} = ({_raw(statements[0])}"{statements[0]}",)'
        if len(alone) <= _LINE:
            return alone
    lines = []
    for statement in statements:
        text = _wrap_sql(statement, _WIDTH - 4)
        if "\n" not in text and '"' not in text:
            lines.append(f'    {_raw(text)}"{text}",')
        else:
            lines.append(f'    {_raw(text)}"""\n{textwrap.indent(text, "    ")}\n    """,')
    return "\n".join([f"{name} = (", *lines, ")"])


def _end(statement: str) -> str:
    """End it with a semicolon, unless nothing of it is left but remarks."""
    last = statement.rpartition("\n")[2]
    return statement if last.lstrip().startswith("--") else f"{statement};"


def _raw(text: str) -> str:
    return "r" if "\\" in text else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wrap(text: str, before: str) -> str:
    lines = textwrap.wrap(before + text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).removeprefix(before)


def _wrap_sql(statement: str, width: int = _WIDTH) -> str:
    remarks = list(takewhile(lambda line: line.startswith("--"), statement.split("\n")))
    body = "\n".join(statement.split("\n")[len(remarks) :])
    lines = [_wrap_remark(line, width) for line in remarks]
    return "\n".join([*lines, *(_wrap_line(line, width) for line in _LINES.findall(body))])


def _wrap_remark(line: str, width: int) -> str:
    if line.startswith("-- squawk-ignore"):  # has to stay in one
        return line
    return "\n".join(textwrap.wrap(line, width, subsequent_indent="-- ", break_on_hyphens=False))


def _wrap_line(line: str, width: int) -> str:
    """Break between words; a text in quotes as SQL permits it, into several that are read as one."""
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())] + "    "
    lines, current = [], ""
    for token in _TOKEN.findall(line):
        if current.strip() and len(current) + len(token.rstrip()) > width:
            lines.append(current.rstrip())
            current = indent + token.lstrip()
        else:
            current += token
    shortened = (_LONG.sub(partial(_break_text, indent=indent), each) for each in [*lines, current.rstrip()])
    return "\n".join(shortened)


def _break_text(match: re.Match[str], indent: str) -> str:
    parts = [""]
    for piece in _PIECE.findall(match[0][1:-1]):
        if len(parts[-1]) + len(piece) > _TEXT_WIDTH:
            parts.append("")
        parts[-1] += piece
    return f"'\n{indent}'".join(["'" + parts[0], *parts[1:]]) + "'"
