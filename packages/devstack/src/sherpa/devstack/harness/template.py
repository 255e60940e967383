"""The template: a database that the real migrations have made once for the session, and clones of it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import asyncpg

from sherpa.db import migrations
from sherpa.db.migrations.runner import migrate
from sherpa.devstack.harness import fingerprint, wipe
from sherpa.devstack.harness.cluster import ROLE, Cluster, write_private
from sherpa.devstack.harness.fingerprint import Reference
from sherpa.devstack.harness.session import Session


@dataclass(frozen=True)
class Template:
    """A sealed database: the SQL that empties a clone, what is true of it, the role's password as stored."""

    name: str
    wipe: str
    reference: Reference
    role_password: str = field(repr=False)


async def obtain(session: Session, cluster: Cluster) -> Template:
    """Return the template for the migrations as they are now, built if no other worker did before.

    Call it inside `session.lock`. Raises what the migrations raise.
    """
    name = f"template_{migrations_digest()}"
    record = session.directory / f"{name}.json"
    if record.exists():
        stored = json.loads(record.read_text())
        return Template(**{**stored, "reference": Reference(**stored["reference"])})
    template = await _build(cluster, name)
    write_private(record, json.dumps(asdict(template)))
    return template


def migrations_digest() -> str:
    """Return a short hash over the migrations' files, their names and contents."""
    digest = hashlib.sha256()
    for folder in migrations.__path__:
        for file in sorted(Path(folder).rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


async def clone(maintenance: asyncpg.Connection, template: str, name: str, *, in_memory: bool) -> None:
    """Make a database from a template, owned by the tests' role.

    FILE_COPY is as fast as `cp -r` in memory, and it copies the relation cache, which quickens the first
    connection; on a disk its two checkpoints cost more than what WAL_LOG writes.
    """
    strategy = "FILE_COPY" if in_memory else "WAL_LOG"
    await maintenance.execute(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} STRATEGY {strategy}")


async def _build(cluster: Cluster, name: str) -> Template:
    maintenance = await cluster.connect("postgres")
    try:
        await maintenance.execute(f"DROP DATABASE IF EXISTS {name}")
        await clone(maintenance, "template1", name, in_memory=cluster.in_memory)
        await migrate(cluster.settings(name))
        template = await _examine(cluster, name)
        await maintenance.execute(f"ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
    finally:
        await maintenance.close()
    return template


async def _examine(cluster: Cluster, name: str) -> Template:
    """Take the facts, in the template's last session: it leaves the relation cache that clones inherit."""
    connection = await cluster.connect(name)
    try:
        await connection.execute("VACUUM (FREEZE)")
        return Template(
            name,
            wipe=await wipe.statement(connection),
            reference=await fingerprint.take(connection),
            role_password=await connection.fetchval(
                "SELECT rolpassword FROM pg_authid WHERE rolname = $1", ROLE
            ),
        )
    finally:
        await connection.close()
