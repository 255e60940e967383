"""The commands of the stack, as `inv` calls them.

Exit codes: 0 well, 1 failed, 2 wrong use, 4 the database's history contradicts the migration files.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncpg

from sherpa.config import ConfigError
from sherpa.db.cli import code_of
from sherpa.db.errors import DatabaseError
from sherpa.devstack import logs as logbook
from sherpa.devstack import report, teardown
from sherpa.devstack.appprocess import AppProcess, stop_seconds
from sherpa.devstack.backends.backend import Backend, Command
from sherpa.devstack.backends.choice import NAMES
from sherpa.devstack.bringup import Request, bring_up
from sherpa.devstack.doctor import examination
from sherpa.devstack.errors import StackError
from sherpa.devstack.guard import require_own, require_own_database
from sherpa.devstack.ownership import app_conflict, require_none
from sherpa.devstack.probe import Verdict, ask_servers
from sherpa.devstack.progress import Progress
from sherpa.devstack.settings import read_stack
from sherpa.devstack.stack import Service

WELL, FAILED, WRONG_USE = 0, 1, 2


def up(
    root: Path,
    *,
    backend: str = "auto",
    api: bool = True,
    worker: bool = True,
    reassign_ports: bool = False,
) -> int:
    """Bring everything up and say what runs; change nothing when it does already."""
    if backend not in NAMES:
        return _wrong(f"There is no backend {backend!r}: choose one of {', '.join(NAMES)}.")
    return _guarded(lambda: _up(root, Request(backend, api, reassign_ports, worker)))


def down(root: Path, *, volumes: bool = False) -> int:
    """Stop whatever of this stack runs; with `volumes` delete its data, too."""
    return _guarded(lambda: teardown.bring_down(root, Progress(), volumes=volumes))


def status(root: Path, *, as_json: bool = False) -> int:
    """Show each process. The exit code is 1 when anything isn't well."""
    return _guarded(lambda: _status(root, as_json=as_json))


def logs(root: Path, service: str | None = None, *, follow: bool = False) -> int:
    """Show the log of one service, or of all."""
    if service and service not in set(Service):
        return _wrong(f"There is no service {service!r}: choose one of {', '.join(Service)}.")
    services = [Service(service)] if service else list(Service)
    return _guarded(lambda: _logs(root, services, follow=follow))


def serve(root: Path, *, reload: bool = False) -> int:
    """Run the API in the foreground until it is interrupted; a background one makes room."""
    return _guarded(lambda: _serve(root, reload=reload))


def change_schema(root: Path, change: Callable[[], int]) -> int:
    """Run a command that changes the schema, unless it is another checkout's; return its exit code."""

    def guarded() -> int:
        require_own_database(root)
        return change()

    return _guarded(guarded)


def psql(root: Path, command: str | None = None) -> int:
    """Open psql on the stack's database, or run one command."""
    return _guarded(lambda: _client(root, Service.POSTGRES, lambda backend: backend.psql(command)))


def redis_cli(root: Path, command: str | None = None) -> int:
    """Open redis-cli on the stack's Redis, or run one command."""
    return _guarded(lambda: _client(root, Service.REDIS, lambda backend: backend.redis_cli(command)))


def doctor(root: Path, *, as_json: bool = False) -> int:
    """Say what is wrong on this machine and what mends it. The exit code is 1 when anything is wrong."""
    return _guarded(lambda: examination.examine(root, sys.stdout, as_json=as_json))


def _up(root: Path, request: Request) -> int:
    progress = Progress()
    outcome = bring_up(root, request, progress)
    print(report.outcome_as_text(outcome, changed=progress.did))
    return WELL


def _status(root: Path, *, as_json: bool) -> int:
    description = report.describe(root)
    print(report.as_json(description) if as_json else report.as_text(description))
    return WELL if description.well else FAILED


def _logs(root: Path, services: list[Service], *, follow: bool) -> int:
    try:
        logbook.show(read_stack(root), services, sys.stdout, follow=follow)
    except KeyboardInterrupt:
        # That is how one ends following.
        return WELL
    return WELL


def _serve(root: Path, *, reload: bool) -> int:
    stack = read_stack(root)
    require_own_database(root)
    background = AppProcess(root, Service.API)
    if background.stop(stop_seconds(stack, Service.API)):
        print("The API that ran in the background was stopped.")
    require_none([app_conflict(stack, Service.API, report.present_backend(stack))])
    return _foreground(Command([sys.executable, "-m", "sherpa.api", *(["--reload"] if reload else [])]), root)


def _client(root: Path, service: Service, command: Callable[[Backend], Command]) -> int:
    stack = read_stack(root)
    answer = asyncio.run(ask_servers(stack))[service]
    require_own(stack, answer)
    code = _foreground(command(report.present_backend(stack)))
    if code and answer.verdict is Verdict.SILENT:
        print("What starts it: uv run inv up", file=sys.stderr)
    return code


def _foreground(command: Command, directory: Path | None = None) -> int:
    """Run a command on our terminal. Ctrl-C is its own to answer; we only wait for its end."""
    environment = {**os.environ, **command.environment}
    # A handler of ours, unlike SIG_IGN, is not inherited by the command.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        ended = subprocess.run(list(command.arguments), env=environment, cwd=directory, check=False)
    finally:
        signal.signal(signal.SIGINT, before)
    return FAILED if ended.returncode else WELL


def _guarded(work: Callable[[], int | None]) -> int:
    try:
        code = work() or WELL
        sys.stdout.flush()
        return code
    except (StackError, ConfigError, DatabaseError) as error:
        print(error, file=sys.stderr)
        return code_of(error)
    except BrokenPipeError:
        # `… | head`: who stops reading has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # A full disk, a place or a right that is somebody else's: it can come from anywhere, at any time.
        print(f"{error}\nWhat this machine lacks: uv run inv doctor", file=sys.stderr)
    except KeyboardInterrupt:
        print(
            "\nInterrupted. What was started goes on; `uv run inv up` continues from here.", file=sys.stderr
        )
    return FAILED


def _wrong(message: str) -> int:
    print(message, file=sys.stderr)
    return WRONG_USE
