"""`migration WORDS`: writes a new migration, with what the tables as declared make likely."""

import argparse
import asyncio
from pathlib import Path

from sherpa.config import ConfigError, load
from sherpa.db.console import complain, say
from sherpa.db.exitcodes import WELL
from sherpa.db.migrations.errors import ConnectionFailedError, ScratchError
from sherpa.db.migrations.files import list_files
from sherpa.db.migrations.proposals.database import propose_from
from sherpa.db.migrations.proposals.new import check_name, write_migrations
from sherpa.db.migrations.proposals.plan import Draft
from sherpa.db.migrations.settings import MigrationSettings


def run(arguments: argparse.Namespace) -> int:
    """Write it, or several where one can't hold all, and say where they are and what comes next."""
    words = " ".join(arguments.words)
    check_name(words, arguments.folder)
    drafts = _propose(arguments.folder)
    files = write_migrations(words, drafts, folder=arguments.folder)
    for file in files:
        say(f"Wrote {_shown(file.path)}")
    if drafts:
        say("It has what leads to the tables as declared, and back: read each statement.")
    say(
        "Next: put words and SQL where it says TODO, then `inv lint`, `inv migrate`, `inv schema` and "
        "`inv test db`; the table in docs/migrations.md wants a line."
    )
    return WELL


def _propose(folder: Path) -> tuple[Draft, ...]:
    """Ask the database, and go on without a proposal where nobody answers."""
    try:
        settings = load(MigrationSettings).database
        drafts = asyncio.run(propose_from(settings, list_files(folder)))
    except (ConfigError, ConnectionFailedError, ScratchError) as error:
        complain(f"Nothing is proposed, for the database could not be asked. {error}")
        return ()
    if not drafts:
        say("Nothing is proposed: the database has the tables as they are declared.")
    return drafts


def _shown(path: Path) -> Path:
    path, here = path.absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
