"""Ends sessions: stops their servers and removes their folders, of this run and of runs that were killed.

Only processes whose command line names a folder of the session are ever stopped. A session that kept a failed
test's database stays, with its PostgreSQL, until it is old or others have come after it.
"""

import os
import time
from pathlib import Path

from sherpa.devstack.embedded.account import remove_tree
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.harness.session import Session, place_lock, sessions

KEPT_SESSIONS = 3
KEPT_SECONDS = 24 * 3600.0


def end(session: Session) -> None:
    """Stop this session's servers and remove its folder; where a database was kept, leave PostgreSQL running."""
    with place_lock(session.place):
        if kept_databases(session):
            _valkey(session).stop()
        else:
            remove(session)


def clean(place: Path) -> None:
    """Remove what killed runs left behind, and kept databases beyond their time. Call it inside `place_lock`."""
    abandoned = [session for session in sessions(place) if session.is_abandoned()]
    kept = [session for session in abandoned if _is_worth_keeping(session)]
    for session in abandoned:
        if session not in kept[-KEPT_SESSIONS:]:
            remove(session)


def clean_all(place: Path) -> list[str]:
    """Remove every session that no process belongs to, kept databases too; return the names of those."""
    names = []
    with place_lock(place):
        for session in sessions(place):
            if session.is_abandoned():
                names += kept_databases(session)
                remove(session)
    return names


def remove(session: Session) -> None:
    """Stop a session's servers and remove its folder."""
    stop_servers(session)
    remove_tree(session.directory)


def stop_servers(session: Session) -> None:
    """Stop a session's servers, whatever state they are in, and remove their files."""
    for server in (_postgres(session), _valkey(session)):
        if server.directory.exists():
            server.stop()
            remove_tree(server.directory)


def kept_databases(session: Session) -> list[str]:
    """Return the names of the databases that a session has kept."""
    return sorted(os.listdir(session.kept)) if session.kept.is_dir() else []


def _is_worth_keeping(session: Session) -> bool:
    if not kept_databases(session) or not _postgres(session).state().alive:
        return False
    return time.time() - session.kept.stat().st_mtime < KEPT_SECONDS


def _postgres(session: Session) -> PostgresServer:
    """Return the server as its folder shows it: finding and stopping it takes neither port nor password."""
    return PostgresServer(session.directory / "postgres", port=0, password="", cluster_name=session.name)


def _valkey(session: Session) -> ValkeyServer:
    return ValkeyServer(session.directory / "valkey", port=0, durable=False)
