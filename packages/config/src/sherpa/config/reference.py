"""The tables of docs/configuration.md, written from the declarations; a test holds the page to them.

`python -m sherpa.config.reference docs/configuration.md` writes them anew.
"""

import inspect
import re
import sys
from pathlib import Path

from sherpa.config.declaration import Variable, variables_of
from sherpa.config.sections import OPTIONAL, SECTIONS

BEGIN, END = "<!-- variables: written by sherpa.config.reference -->", "<!-- end of variables -->"
_HEAD = "| variable | type | default | required | secret | meaning |\n|---|---|---|---|---|---|"


def render() -> str:
    """Return one table a section, in Markdown."""
    return "\n\n".join(_section(name, section) for name, section in SECTIONS.items())


def rewrite(page: str) -> str:
    """Return the page with its tables, which stand between two marks, written anew."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n\n{render()}\n\n{END}", page)


def _section(name: str, section: type) -> str:
    needs = " Absent unless something of it is set or a process asks for it." if name in OPTIONAL else ""
    rows = "\n".join(map(_row, variables_of(section)))
    return f"### {name}\n\n`{section.__name__}`: {_summary(section)}{needs}\n\n{_HEAD}\n{rows}"


def _summary(section: type) -> str:
    return (inspect.getdoc(section) or "").splitlines()[0]


def _row(variable: Variable) -> str:
    default = f"`{variable.default_text}`" if variable.default_text else ""
    required, secret = ("yes" if fact else "" for fact in (variable.required, variable.kind.secret))
    meaning = f"{variable.doc} {variable.kind.right[0].upper()}{variable.kind.right[1:]}."
    cells = [f"`{variable.name}`", variable.kind.name, default, required, secret, meaning]
    return f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |"


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        path.write_text(rewrite(path.read_text(encoding="utf-8")), encoding="utf-8")
