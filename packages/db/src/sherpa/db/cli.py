"""Runs one command on the schema: reads its arguments, loads its module, turns its faults into exit codes."""

import importlib
from collections.abc import Sequence
from typing import Final

from sherpa.config import ConfigError
from sherpa.db.arguments import module_of, parser
from sherpa.db.console import complain
from sherpa.db.errors import DatabaseError
from sherpa.db.exitcodes import DRIFT, FAILED, HISTORY, IRREVERSIBLE, PENDING, WELL, WRONG_USE
from sherpa.db.migrations.errors import (
    DriftError,
    HistoryError,
    IrreversibleError,
    NamingError,
    PendingError,
    TargetError,
)

_CODES: Final[dict[type[DatabaseError], int]] = {
    TargetError: WRONG_USE,
    NamingError: WRONG_USE,
    PendingError: PENDING,
    HistoryError: HISTORY,
    IrreversibleError: IRREVERSIBLE,
    DriftError: DRIFT,
}
"""What ends a command with a code of its own; every other fault ends it with FAILED."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (from `sys.argv` unless given) and return its exit code; faults are told on stderr."""
    try:
        arguments = parser().parse_args(argv)
        # Only what this command needs is loaded: a run with nothing to do takes as long as its imports.
        command = importlib.import_module(f"sherpa.db.commands.{module_of(arguments)}")
        code: int = command.run(arguments)
    except SystemExit as end:  # argparse has printed the help, or the fault
        return WRONG_USE if end.code else WELL
    except (ConfigError, DatabaseError) as error:
        complain(error)
        return code_of(error)
    except OSError as error:
        complain(f"The output can't be written: {error}.")
        return FAILED
    except KeyboardInterrupt:
        complain(
            "Interrupted. What was reported as done stays; what was under way is done whole or not at all."
        )
        return FAILED
    return code


def code_of(error: Exception) -> int:
    """Return the exit code of a command that ended with this fault."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)
