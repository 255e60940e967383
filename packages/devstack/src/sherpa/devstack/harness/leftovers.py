"""Ends sessions, of this run and of runs that were killed: stops their servers and removes their folders.

Only a process whose command line names the session's folder is ever stopped, or a server that works in it.
A session that kept a failed test's database stays, with its PostgreSQL, until it is old or others have come
after it.
"""

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from sherpa.devstack import processes
from sherpa.devstack.embedded.postgres import PostgresServer
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.errors import StackError
from sherpa.devstack.harness.session import Session, all_sessions, place_lock

SERVERS = ("postgres", "valkey-server")
STOP_SECONDS = 5.0
KEPT_SESSIONS = 3
KEPT_SECONDS = 24 * 3600.0


def end(session: Session) -> None:
    """Stop a session's servers and remove its folder; where a database was kept, leave PostgreSQL running."""
    with place_lock(session.place):
        claim = session.claim()
    if kept_databases(session):
        _valkey(session).stop()
        _stop_own_servers(session)
    else:
        remove(session)
    if claim:
        claim.close()


def clean(place: Path) -> None:
    """Remove what killed runs left in a place, and kept databases past their time. A place may be absent.

    A server that won't stop stays for the next run to try: it is no reason to fail this one's tests.
    """
    with _abandoned(place) as sessions:
        kept = [session for session in sessions if _is_worth_keeping(session)]
        for session in sessions:
            with contextlib.suppress(StackError):
                if session in kept[-KEPT_SESSIONS:]:
                    _stop_own_servers(session)
                else:
                    remove(session)


def clean_all(place: Path) -> list[str]:
    """Remove every session that no process belongs to; return the names of the kept databases that went."""
    names = []
    with _abandoned(place) as sessions:
        for session in sessions:
            names += kept_databases(session)
            remove(session)
    return names


@contextlib.contextmanager
def _abandoned(place: Path) -> Iterator[list[Session]]:
    """Claim the sessions to which no process belongs, so that nobody else cleans them up at the same time."""
    with contextlib.ExitStack() as claims:
        claimed = []
        if place.is_dir():
            with place_lock(place):
                for session in all_sessions(place):
                    if claim := session.claim():
                        claims.enter_context(claim)
                        claimed.append(session)
        yield claimed


def remove(session: Session) -> None:
    """Stop a session's servers and remove its folder."""
    stop_servers(session)
    shutil.rmtree(session.directory, ignore_errors=True)


def stop_servers(session: Session) -> None:
    """Stop a session's servers, whatever state they are in, and remove their files."""
    _stop_own_servers(session)
    for server in (_postgres(session), _valkey(session)):
        if server.directory.exists():
            server.stop()
            # A backend that outlived a killed postmaster may still write: the next run tries again.
            shutil.rmtree(server.directory, ignore_errors=True)


def _stop_own_servers(session: Session) -> None:
    """Stop what a killed test had started for itself, and remove its files: nobody will look at them."""
    for server in processes.working_in(session.own_servers, SERVERS):
        processes.stop(server, (signal.SIGINT, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS))
    shutil.rmtree(session.own_servers, ignore_errors=True)


def kept_databases(session: Session) -> list[str]:
    """Return the names of the databases that a session has kept."""
    return sorted(mark.name for mark in session.kept.iterdir()) if session.kept.is_dir() else []


def _is_worth_keeping(session: Session) -> bool:
    if not kept_databases(session) or not _postgres(session).state().alive:
        return False
    return time.time() - session.kept.stat().st_mtime < KEPT_SECONDS


def _postgres(session: Session) -> PostgresServer:
    """Return the server as its folder shows it: to find and stop it takes neither port nor password."""
    return PostgresServer(session.directory / "postgres", port=0, password="", cluster_name=session.name)


def _valkey(session: Session) -> ValkeyServer:
    return ValkeyServer(session.directory / "valkey", port=0, durable=False)
