"""Databases of failed tests: kept, up to a number, and named with the command that opens them."""

import shlex
import shutil

from sherpa.devstack import ports
from sherpa.devstack.embedded.binaries import postgres_binaries
from sherpa.devstack.harness.cluster import ROLE, Cluster
from sherpa.devstack.harness.leftovers import kept_databases
from sherpa.devstack.harness.session import Session


def reserve(session: Session, database: str, test: str, *, limit: int) -> bool:
    """Mark a database as kept, which keeps the cluster alive; False when the session has kept enough."""
    with session.lock():
        session.kept.mkdir(exist_ok=True)
        if len(kept_databases(session)) >= limit:
            return False
        (session.kept / database).write_text(test)
    return True


def command(session: Session, cluster: Cluster, database: str) -> str:
    """Return a line for a shell that opens a database. The password stays in a file that only we can read."""
    psql = shutil.which("psql") or str(postgres_binaries().program("psql"))
    words = [psql, "-h", ports.LOOPBACK, "-p", str(cluster.postgres_port), "-U", ROLE, "-d", database]
    return f"PGPASSFILE={shlex.quote(str(session.directory / 'pgpass'))} {shlex.join(words)}"
