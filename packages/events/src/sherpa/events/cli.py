"""Runs one operator's command: reads its arguments, loads its module, turns its faults into exit codes."""

import importlib
from collections.abc import Sequence

from sherpa.config import ConfigError
from sherpa.db.console import complain
from sherpa.db.errors import DatabaseError
from sherpa.db.exitcodes import FAILED, WELL, WRONG_USE
from sherpa.events.arguments import module_of, parser
from sherpa.events.errors import EventsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (from `sys.argv` unless given) and return its exit code; faults are told on stderr."""
    try:
        arguments = parser().parse_args(argv)
        # Only what this command needs is loaded: `--help` and wrong use need no driver.
        command = importlib.import_module(f"sherpa.events.commands.{module_of(arguments)}")
        code: int = command.run(arguments)
    except SystemExit as end:  # argparse has printed the help, or the fault
        return WRONG_USE if end.code else WELL
    except (ConfigError, DatabaseError, EventsError) as error:
        complain(error)
        return FAILED
    except OSError as error:
        complain(f"The output can't be written: {error}.")
        return FAILED
    except KeyboardInterrupt:
        complain("Interrupted. What was reported as done stays; what was under way is undone.")
        return FAILED
    return code
