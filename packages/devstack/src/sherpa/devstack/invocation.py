"""Between Invoke and the commands: their flags, their exit codes, and repairs of Invoke's command line.

A positional argument may be left out, and wrong use exits with 2: Invoke 3 requires every one, takes an
unknown flag for its value, and exits with 1 on wrong use, where 1 is ours for "failed".
Why not another front end: docs/decisions/0004-invoke-and-nox.md.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

from invoke.exceptions import Exit
from invoke.parser.parser import ParseMachine

WRONG_USE = 2


def _leave_out(machine: ParseMachine) -> None:
    for argument in machine.context.missing_positional_args:
        if argument.optional:
            argument.set_value("", cast=False)


def _complete(machine: ParseMachine) -> None:
    _leave_out(machine)
    _complete_context(machine)


def _take_positional(machine: ParseMachine, value: str) -> None:
    if not value.startswith("-"):
        _see_positional_arg(machine, value)
        return
    _leave_out(machine)
    if machine.context.missing_positional_args:
        _refuse(machine, f"No idea what {value!r} is!")
    machine.handle(value)


def _is_ambiguous(machine: ParseMachine, value: str) -> bool:
    """`logs --service api`: a positional that is given by its flag isn't missing."""
    missing: Sequence[object] = machine.context.missing_positional_args
    return machine.flag not in missing and _check_ambiguity(machine, value)


def _refuse(_machine: ParseMachine, message: str) -> NoReturn:
    raise Exit(f"{message} `inv --list` and `inv --help TASK` show what there is.", WRONG_USE)


_complete_context = ParseMachine.complete_context
_see_positional_arg = ParseMachine.see_positional_arg
_check_ambiguity = ParseMachine.check_ambiguity


def mend_output() -> None:
    """Show `?` for a character that the terminal's encoding lacks, in place of a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def mend_parser() -> None:
    """Make Invoke exit with 2 on wrong use and give "" for a positional that is `optional` and left out."""
    ParseMachine.complete_context = _complete  # type: ignore[method-assign,assignment]  # no hook
    ParseMachine.see_positional_arg = _take_positional  # type: ignore[method-assign,assignment]  # no hook
    ParseMachine.check_ambiguity = _is_ambiguous  # type: ignore[method-assign,assignment]  # no hook
    ParseMachine.error = _refuse  # type: ignore[method-assign,assignment]  # no hook


def finish(code: int) -> None:
    """End the task with the exit code of the command that it ran: 0 well, 1 failed, 2 wrong use, and more."""
    if code:
        raise Exit(code=code)


def flags(**given: object) -> list[str]:
    """Spell keyword arguments as command-line flags: `to="002"` as `--to=002`, `yes=True` as `--yes`."""
    spelled = {
        f"--{name.replace('_', '-')}": value for name, value in given.items() if value not in {None, False}
    }
    return [flag if value is True else f"{flag}={value}" for flag, value in spelled.items()]
