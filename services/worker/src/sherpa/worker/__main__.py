"""`python -m sherpa.worker`: relay events and run their handlers, until told to stop."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from sherpa.telemetry import footing

if __name__ == "__main__":  # before the imports below, which take half a second
    footing.stand()

from sherpa.config import ConfigError, load
from sherpa.events.handling.errors import InvalidHandlersError
from sherpa.telemetry.logging import configure, get_logger
from sherpa.worker.domain import domain_duties, domain_handlers
from sherpa.worker.errors import StartupError, WrongSettingsError
from sherpa.worker.process import EXIT_FAILED, run
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.wiring import make_plan

EXIT_WRONG_USE = 2

_log = get_logger("sherpa.worker")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 told to stop, 1 failed, 2 wrong settings or arguments, 3 port taken."""
    _parser().parse_args(arguments)
    try:
        settings = load(ProcessSettings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_WRONG_USE
    configure(settings.logging, service="sherpa-worker")
    resources = AsyncExitStack()  # closed at the end of the run, in its event loop
    try:
        plan = make_plan(settings, domain_handlers(settings, resources), domain_duties(settings))
        return run(settings, plan, resources)
    except (WrongSettingsError, InvalidHandlersError) as error:
        _log.critical(str(error))
        return EXIT_WRONG_USE
    except StartupError as error:
        _log.critical(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - a bug of ours should end in the log, too, in one line
        _log.critical("the process failed", exc_info=error)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog="python -m sherpa.worker", description="Relay events and run their handlers."
    )


if __name__ == "__main__":
    raise SystemExit(main())
