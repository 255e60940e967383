"""What a developer does, in the order of a working day; each task is one call into a package."""

import os
from functools import partial
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from sherpa.config import cli as config_cli
from sherpa.db import cli as db_cli
from sherpa.devstack import checks, commands, schemafile
from sherpa.devstack import deploy as deployment
from sherpa.devstack import lock as locking
from sherpa.devstack.invocation import finish, flags, mend_output, mend_parser
from sherpa.events import cli as events_cli

ROOT = Path(__file__).resolve().parent

mend_output()
mend_parser()
# Invoke finds this file from any folder below; `.env` and pytest's paths are meant from here.
os.chdir(ROOT)


# --- The stack ------------------------------------------------------------------------------------


@task(
    help={
        "backend": "auto (Docker where it answers, else embedded), docker, embedded or external",
        "api": "also run the API (--no-api: servers and migrations only)",
        "worker": "also run the relay and the handlers (--no-worker: not)",
        "reassign-ports": "give taken ports of .env free numbers",
    }
)
def up(
    c: Context, backend: str = "auto", api: bool = True, worker: bool = True, reassign_ports: bool = False
) -> None:
    """Bring everything up: servers, .env, migrations, API, worker; changes nothing when it is."""
    finish(commands.up(ROOT, backend=backend, api=api, worker=worker, reassign_ports=reassign_ports))


@task(help={"volumes": "also delete the data"})
def down(c: Context, volumes: bool = False) -> None:
    """Stop everything that `inv up` started; the data stays."""
    finish(commands.down(ROOT, volumes=volumes))


@task(help={"json": "print JSON"})
def status(c: Context, json: bool = False) -> None:
    """Show each process: state, port, version, health, migrations."""
    finish(commands.status(ROOT, as_json=json))


@task(
    positional=["service"],
    optional=["service"],
    help={"service": "postgres, redis, api or worker", "follow": "go on"},
)
def logs(c: Context, service: str | None = None, follow: bool = False) -> None:
    """Show the logs of one SERVICE or of all."""
    finish(commands.logs(ROOT, service or None, follow=follow))


@task(help={"reload": "restart when code changes"})
def serve(c: Context, reload: bool = False) -> None:
    """Run the API in the foreground."""
    finish(commands.serve(ROOT, reload=reload))


@task(help={"command": "run this SQL and end"})
def psql(c: Context, command: str = "") -> None:
    """Open psql on the stack's database."""
    finish(commands.psql(ROOT, command or None))


@task(help={"command": "run this command and end"})
def redis_cli(c: Context, command: str = "") -> None:
    """Open redis-cli on the stack's Redis."""
    finish(commands.redis_cli(ROOT, command or None))


@task(help={"json": "print JSON"})
def doctor(c: Context, json: bool = False) -> None:
    """Say what is wrong on this machine, and the command that mends it."""
    finish(commands.doctor(ROOT, as_json=json))


@task(help={"json": "print JSON"})
def config(c: Context, json: bool = False) -> None:
    """Show the effective settings, secrets masked, each with where it came from."""
    finish(config_cli.main(flags(json=json)))


# --- The schema -----------------------------------------------------------------------------------


LOCK_WAIT = "seconds to wait for another runner (default 300)"


@task(
    help={
        "to": "stop after this migration (an ID or its unique beginning)",
        "dry-run": "print the SQL, run in a transaction that is rolled back; write nothing",
        "allow-out-of-order": "also apply those that are older than the newest applied one",
        "baseline": "apply nothing: record all up to this ID, when the database matches them",
        "wait": "seconds to wait for the server (default 0)",
        "lock-wait": LOCK_WAIT,
    }
)
def migrate(
    c: Context,
    *,
    to: str | None = None,
    dry_run: bool = False,
    allow_out_of_order: bool = False,
    baseline: str | None = None,
    wait: str | None = None,
    lock_wait: str | None = None,
) -> None:
    """Apply the pending migrations."""
    how = flags(
        to=to,
        dry_run=dry_run,
        allow_out_of_order=allow_out_of_order,
        baseline=baseline,
        wait=wait,
        lock_wait=lock_wait,
    )
    finish(commands.change_schema(ROOT, partial(db_cli.main, ["migrate", *how])))


@task(
    help={
        "steps": "how many (default 1)",
        "to": "go back until this migration is the newest",
        "all": "everything; asks before",
        "yes": "don't ask",
        "lock-wait": LOCK_WAIT,
    }
)
def revert(
    c: Context,
    *,
    steps: str | None = None,
    to: str | None = None,
    all: bool = False,
    yes: bool = False,
    lock_wait: str | None = None,
) -> None:
    """Take the newest migration back."""
    back = ["revert", *flags(steps=steps, to=to, all=all, yes=yes, lock_wait=lock_wait)]
    finish(commands.change_schema(ROOT, partial(db_cli.main, back)))


@task(
    help={
        "json": "print JSON",
        "check": "compare the database with the tables as declared",
        "repair": "show what was edited since it was applied, and accept the files; asks before",
        "yes": "don't ask (with --repair)",
        "lock-wait": f"{LOCK_WAIT}, with --repair",
    }
)
def migrations(
    c: Context,
    *,
    json: bool = False,
    check: bool = False,
    repair: bool = False,
    yes: bool = False,
    lock_wait: str | None = None,
) -> None:
    """List every migration with its state; or check, or repair."""
    listing = ["migrations", *flags(json=json, check=check, repair=repair, yes=yes, lock_wait=lock_wait)]
    run = partial(db_cli.main, listing)
    finish(commands.change_schema(ROOT, run) if repair else run())


@task(positional=["words"], help={"words": 'what it does, as "add nickname to memberships"'})
def migration(c: Context, words: str) -> None:
    """Write a new migration, with what leads to the tables as declared."""
    finish(db_cli.main(["migration", "--", words]))


@task(help={"check": "change nothing; fail when the file is not current"})
def schema(c: Context, check: bool = False) -> None:
    """Write packages/db/schema.sql, the schema that the migrations make."""
    finish(schemafile.schema(ROOT, check=check))


# --- Events ---------------------------------------------------------------------------------------

EVENTS_CHANGES = {("dead-letters", "retry"), ("dead-letters", "discard"), ("groups", "forget"),
                  ("replay", None), ("prune", None)}  # fmt: skip


@task(
    positional=["command", "action", "name"],
    optional=["command", "action", "name"],
    iterable=["type"],
    help={
        "command": "status (default), dead-letters, replay, tail, prune or groups",
        "action": "of dead-letters: list, show, retry, discard; of groups: list, forget",
        "name": "an event's id (show, retry, discard), or a group's name (forget)",
        "handler": "dead-letters: only this handler's",
        "all": "dead-letters retry and discard: all of all handlers",
        "limit": "dead-letters list: at most so many (default 100)",
        "since": "replay: published at or after it, as 2026-11-23T12:00:00Z or 2h (ago)",
        "to": "replay: and before it (default: now)",
        "type": "replay, tail: only events of this type; may be repeated",
        "aggregate": "replay, tail: only those of this aggregate",
        "dry-run": "replay, prune: change nothing, say what would be done",
        "json": "print JSON (status, lists, show, tail)",
        "yes": "don't ask",
    },
)
def events(
    c: Context,
    command: str | None = None,
    action: str | None = None,
    name: str | None = None,
    *,
    handler: str | None = None,
    all: bool = False,
    limit: str | None = None,
    since: str | None = None,
    to: str | None = None,
    type: list[str],
    aggregate: str | None = None,
    dry_run: bool = False,
    json: bool = False,
    yes: bool = False,
) -> None:
    """Look after events: status, dead letters, replay, tail, prune, groups."""
    how = flags(
        handler=handler,
        all=all,
        limit=limit,
        since=since,
        to=to,
        aggregate=aggregate,
        dry_run=dry_run,
        json=json,
        yes=yes,
    )
    words = [word for word in (command or "status", action, name) if word]
    run = partial(events_cli.main, [*words, *how, *(f"--type={each}" for each in type)])
    changes = not dry_run and (words[0], action or None) in EVENTS_CHANGES
    finish(commands.change_schema(ROOT, run) if changes else run())


# --- The code -------------------------------------------------------------------------------------


@task
def fmt(c: Context) -> None:
    """Format the code and mend what can be mended."""
    finish(checks.format_code(ROOT))


@task
def lint(c: Context) -> None:
    """Check format, lint, types, the direction of imports, and the migrations' SQL."""
    finish(checks.lint(ROOT))


@task(
    positional=["package"],
    optional=["package"],
    help={"package": "config, telemetry, db, events, membership, devstack, api, worker or stories"},
)
def test(c: Context, package: str | None = None) -> None:
    """Run the tests of one PACKAGE or of all; after `--`, pytest's own arguments."""
    finish(checks.test(ROOT, package or None, c.remainder))


@task(help={"check": "change nothing; fail when a file is not current"})
def lock(c: Context, check: bool = False) -> None:
    """Export the hash-pinned requirements that the images install."""
    finish(locking.lock(ROOT, check=check))


# --- The release ----------------------------------------------------------------------------------


@task
def image(c: Context) -> None:
    """Build the container image."""
    finish(deployment.image(ROOT))


@task
def deploy(c: Context) -> None:
    """Run the image on this machine: migrate, then API and worker, and wait until both are ready."""
    finish(deployment.deploy(ROOT))
