"""PostgreSQL's data directory: made beside its place and renamed when complete, so it is whole or absent."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sherpa.devstack import processes
from sherpa.devstack.embedded.account import Account, current_account
from sherpa.devstack.embedded.binaries import PostgresBinaries, postgres_major
from sherpa.devstack.errors import ServerFailedError, UnusableDataError
from sherpa.devstack.processes import Spawn

ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
# Sorting by code point is the same on every system; the character type knows all of Unicode.
CTYPE = "UTF-8" if sys.platform == "darwin" else "C.UTF-8"


def require_usable(data: Path) -> bool:
    """Whether there is a data directory that our server can run on; False when there is none yet.

    Raises UnusableDataError for one of another major version, of another user, or for what is none at all.
    """
    try:
        if not data.exists() or not any(data.iterdir()):
            return False
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError as error:
        raise UnusableDataError(
            f"{data} holds files, but is no PostgreSQL data directory.",
            remedy="Move it out of the way, then try again.",
        ) from error
    except PermissionError as error:
        raise UnusableDataError(
            f"{data} belongs to another user.",
            remedy="Run as that user (was it made with sudo?), or give it to yourself: "
            f'sudo chown -R "$(id -u)" "{data.parent.parent}"',
        ) from error
    if not found.isdigit():
        raise UnusableDataError(
            f"{data} is damaged: its PG_VERSION names no version.",
            remedy=f'Put it aside and begin anew: mv "{data}" "{data}.damaged" && uv run inv up',
        )
    if found != str(postgres_major()):
        raise UnusableDataError(
            f"{data} was written by PostgreSQL {found}; this is {postgres_major()}, which can't read it.",
            remedy=f"Dump it with PostgreSQL {found} if you need it, then: inv down --volumes && inv up",
        )
    return True


def create_cluster(
    data: Path, binaries: PostgresBinaries, superuser: str, password: str, *, durable: bool
) -> None:
    """Make a data directory where every connection needs a password (scram); its parent is the account's."""
    account = current_account()
    for left in data.parent.glob("new-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="new-", dir=data.parent) as name:
        work = Path(name)
        account.own(work)
        secret = work / "password"
        secret.touch(mode=0o600)
        secret.write_text(password + "\n")
        account.own(secret)
        _initdb(_command(binaries, work / "data", superuser, secret), account, work)
        if data.exists():
            data.rmdir()
        (work / "data").rename(data)
    if durable:
        _sync_in_background(data, binaries, account)


def _command(binaries: PostgresBinaries, data: Path, superuser: str, secret: Path) -> list[str]:
    return [
        str(binaries.program("initdb")),
        f"--pgdata={data}",
        f"--username={superuser}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=libc",
        "--locale=C",
        f"--lc-ctype={CTYPE}",
        "--no-instructions",
        "--no-sync",
    ]


def _sync_in_background(data: Path, binaries: PostgresBinaries, account: Account) -> None:
    """Write the new files through to the disk while the server starts: that took half of initdb's time."""
    processes.spawn(
        Spawn(
            [str(binaries.program("initdb")), "--sync-only", f"--pgdata={data}"],
            log=data.parent / "initdb.log",
            directory=data.parent,
            environment=ENVIRONMENT,
            user=account.switch,
        )
    )


def _initdb(command: list[str], account: Account, directory: Path) -> None:
    uid, gid = account.switch or (None, None)
    ended = subprocess.run(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
        user=uid,
        group=gid,
        extra_groups=None if uid is None else [],
    )
    if ended.returncode:
        raise ServerFailedError(
            f"initdb could not make {directory.parent / 'data'}:\n{(ended.stderr or ended.stdout).strip()}",
            remedy="inv doctor says what this machine lacks.",
        )
