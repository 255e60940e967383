"""The commands on the schema: migrate, revert, migrations. Exit codes: 0 well, 1 failed, 2 wrong use."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence

from sherpa.config import ConfigError, DatabaseSettings, load
from sherpa.db.arguments import parser
from sherpa.db.dsn import describe_server
from sherpa.db.errors import DatabaseError
from sherpa.db.migrations.errors import TargetError
from sherpa.db.migrations.events import Event, Notice, Step, Waited, Waiting
from sherpa.db.migrations.runner import migrate, revert
from sherpa.db.migrations.session import open_session
from sherpa.db.migrations.settings import MigrationSettings
from sherpa.db.migrations.status import Status, read_status

WELL, FAILED, WRONG_USE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (from `sys.argv` unless given) and return its exit code; faults are told on stderr."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed the help, or the fault
        return WRONG_USE if end.code else WELL
    try:
        return _run(arguments)
    except TargetError as error:
        return _fail(error, WRONG_USE)
    except (ConfigError, DatabaseError) as error:
        return _fail(error, FAILED)
    except OSError as error:
        return _fail(f"The output can't be written: {error}.", FAILED)
    except KeyboardInterrupt:
        return _fail(
            "Interrupted. What was reported as done stays; what was under way is done whole or not at all.",
            FAILED,
        )


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "migrate":
            return _migrate(arguments)
        case "revert":
            return _revert(arguments)
        case _:
            return _list(as_json=arguments.json)


def _migrate(arguments: argparse.Namespace) -> int:
    settings = load(MigrationSettings).database
    done = asyncio.run(
        migrate(settings, to=arguments.to, lock_wait_seconds=arguments.lock_wait, report=_report)
    )
    _say(f"{_count(done, 'applied') or 'Nothing to apply'} in {describe_server(settings)}.")
    return WELL


def _revert(arguments: argparse.Namespace) -> int:
    if arguments.all and not arguments.yes and not (sys.stdin and sys.stdin.isatty()):
        return _fail("--all drops every table and every row. No terminal to ask at: add --yes.", WRONG_USE)
    settings = load(MigrationSettings).database
    if arguments.all and not arguments.yes and not _is_confirmed(describe_server(settings)):
        return _fail("Nothing was changed.", FAILED)
    done = asyncio.run(
        revert(
            settings,
            steps=arguments.steps or 1,
            to=arguments.to,
            everything=arguments.all,
            lock_wait_seconds=arguments.lock_wait,
            report=_report,
        )
    )
    _say(f"{_count(done, 'reverted') or 'Nothing to revert'} in {describe_server(settings)}.")
    return WELL


def _list(*, as_json: bool) -> int:
    settings = load(MigrationSettings).database
    status = asyncio.run(_read(settings))
    rows = _rows(status)
    if as_json:
        document = {"database": describe_server(settings), "at_head": status.at_head, "migrations": rows}
        _say(json.dumps(document, indent=2))
        return WELL
    for row in rows:
        _say(f"{row['id']:<32} {row['state']:<8} {row['applied_at'] or ''}".rstrip())
    _say(f"{len(status.applied)} applied, {len(status.pending)} pending in {describe_server(settings)}.")
    return WELL


async def _read(settings: DatabaseSettings) -> Status:
    async with open_session(settings) as connection:
        return await read_status(connection)


def _rows(status: Status) -> list[dict[str, str | None]]:
    rows: list[dict[str, str | None]] = [
        {
            "id": migration.id,
            "state": "applied" if migration.is_known else "missing",
            "applied_at": f"{migration.at:%Y-%m-%dT%H:%M:%SZ}",
        }
        for migration in status.applied
    ]
    rows += [{"id": pending, "state": "pending", "applied_at": None} for pending in status.pending]
    return sorted(rows, key=lambda row: str(row["id"]))


def _is_confirmed(where: str) -> bool:
    _say(f"This reverts every migration in {where}: all tables go, with the rows in them.")
    try:
        return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def _report(event: Event) -> None:
    match event:
        case Step(migration_id, direction, seconds):
            verb = "applied" if direction == "forwards" else "reverted"
            _say(f"{migration_id:<32} {verb:<8} {seconds * 1000:8.1f} ms")
        case Waiting(holder):
            _say(f"Waiting: another runner is migrating this database ({holder}).")
        case Waited(seconds):
            _say(f"Waited {seconds:.1f} s for it.")
        case Notice(text):
            _say(f"  notice: {text}")


def _count(steps: Sequence[Step], done: str) -> str:
    plural = "" if len(steps) == 1 else "s"
    return f"{len(steps)} migration{plural} {done}" if steps else ""


def _say(text: str) -> None:
    if sys.stdout is None:  # started with `>&-`
        return
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        # Python itself would fail at the end, when it writes what it still has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `... | head` misses the rest, but the work goes on
            raise


def _fail(fault: object, code: int) -> int:
    sys.stderr.write(f"{fault}\n")
    return code
