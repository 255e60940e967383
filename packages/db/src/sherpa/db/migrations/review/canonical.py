"""What a migration file does, apart from how it is written: two texts of one form are the same migration.

Both texts are always read by the Python that runs now, so nothing depends on the version of either.
"""

import ast
import warnings
from typing import Final

from sherpa.db.migrations.sqltext import normalise

_WAYS: Final = frozenset({"FORWARDS", "BACKWARDS"})
# Words for people: the database has nothing of them.
_PROSE: Final = frozenset({"DESCRIPTION"})


def is_same(recorded: str | None, present: str) -> bool:
    """Tell whether two sources differ in comments, docstrings, description and layout at most.

    Where none is recorded there is nothing to differ from. A text that is no Python (any more) is the same
    as itself alone.
    """
    if recorded is None or recorded == present:
        return True
    try:
        return canonical(recorded) == canonical(present)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def canonical(source: str) -> str:
    """Return the source's syntax tree as text: without docstrings, and with the SQL of both ways normalised.

    Only SQL that stands in FORWARDS or BACKWARDS as a literal, or as a tuple or list of literals, is read as
    SQL; a string that is put together is compared to the letter. Raises SyntaxError.
    """
    with warnings.catch_warnings(action="ignore"):  # what a newer Python says of an old text is no news
        tree = ast.parse(source)
    tree.body = [_normalise_way(statement) for statement in tree.body if _name(statement) not in _PROSE]
    for node in ast.walk(tree):
        _strip(node)
    return ast.dump(tree)


def _strip(node: ast.AST) -> None:
    match node:
        case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
        case ast.Constant():
            node.kind = None  # the `u` of u""


def _name(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)):
            return name
    return None


def _normalise_way(statement: ast.stmt) -> ast.stmt:
    if _name(statement) in _WAYS and isinstance(statement, ast.Assign | ast.AnnAssign):
        for literal in _literals(statement.value):
            literal.value = normalise(str(literal.value))
    return statement


def _literals(value: ast.expr | None) -> list[ast.Constant]:
    parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return [part for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
