"""`python -m sherpa.api [--reload]`: serve the API as the environment says, until told to stop."""

import argparse
import sys
from collections.abc import Sequence

from sherpa.telemetry import footing

if __name__ == "__main__":  # before the imports below, which take half a second
    footing.stand()

from sherpa.api.app import create_app
from sherpa.api.errors import StartupError
from sherpa.api.reload import serve_reloading
from sherpa.api.server import EXIT_FAILED, serve
from sherpa.api.settings import ApiSettings
from sherpa.config import ConfigError, Environment, load
from sherpa.telemetry.logging import configure, get_logger

EXIT_WRONG_USE = 2

_log = get_logger("sherpa.api")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 told to stop, 1 failed, 2 wrong settings or arguments, 3 port taken."""
    options = _parser().parse_args(arguments)
    try:
        settings = load(ApiSettings)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_WRONG_USE
    configure(settings.logging, service="sherpa-api")
    if options.reload and settings.server.environment is Environment.PRODUCTION:
        _log.critical("--reload is for development: leave it out, or set ENVIRONMENT=development")
        return EXIT_WRONG_USE
    try:
        return serve_reloading() if options.reload else serve(create_app, settings)
    except StartupError as error:
        _log.critical(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 — a bug of ours should end in the log, too, in one line
        _log.critical("the process failed", exc_info=error)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sherpa.api", description="Serve the API.")
    parser.add_argument("--reload", action="store_true", help="start anew when the code changes")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
