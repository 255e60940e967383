"""Two repairs of Invoke's command line: a positional argument may be left out, and wrong use exits with 2.

Invoke 3 requires every positional argument and exits with 1 on wrong use, where 1 is ours for "failed".
Why not another front end: docs/decisions/0004-invoke-and-nox.md.
"""

from typing import NoReturn

from invoke.exceptions import Exit
from invoke.parser.parser import ParseMachine

WRONG_USE = 2


def _fill_optional_positionals(machine: ParseMachine) -> None:
    for argument in machine.context.missing_positional_args:
        if argument.optional:
            argument.set_value("", cast=False)
    _complete_context(machine)


def _refuse(_machine: ParseMachine, message: str) -> NoReturn:
    raise Exit(f"{message} `inv --list` and `inv --help TASK` show what there is.", WRONG_USE)


_complete_context = ParseMachine.complete_context


def mend_parser() -> None:
    """Make Invoke exit with 2 on wrong use and give "" for a positional that is `optional` and left out."""
    ParseMachine.complete_context = _fill_optional_positionals  # type: ignore[method-assign,assignment]  # no hook
    ParseMachine.error = _refuse  # type: ignore[method-assign,assignment]  # no hook
