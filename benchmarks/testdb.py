"""What isolating a test costs: ours, rollback, plain clones, pytest-postgresql, pytest-django's flush.

    uv run --isolated --group bench python benchmarks/testdb.py [--tests 150] [--rounds 5]

Whole pytest runs on one server with the same options; rounds alternate between the contenders. A run's
figure is the median time from one test's end to the next one's. The table has the rounds' median, what of it
is above a test that is only rolled back, and the ratio to ours. Below stand a clone and its floor, `cp -r`.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.cluster import ROLE
from sherpa.devstack.harness.session import Session
from sherpa.devstack.harness.template import clone
from sherpa.devstack.harness.worker import Worker

WARM_UP = 10
COLUMNS = "aggregate_type, aggregate_id, event_type, payload"
EVENT = f"INSERT INTO outbox ({COLUMNS}) VALUES ('benchmark', gen_random_uuid(), 'ran', '{{}}')"
COUNT = "SELECT count(*) FROM outbox"

# Written into every suite: when each test ended.
CLOCK = """
    import json, os, time
    ENDS = []

    def pytest_runtest_logfinish():
        ENDS.append(time.perf_counter())

    def pytest_sessionfinish():
        with open("ends.json", "w") as file:
            json.dump(ENDS, file)
"""
INI = """
    [pytest]
    asyncio_mode = auto
    asyncio_default_fixture_loop_scope = {loop}
    asyncio_default_test_loop_scope = {loop}
    addopts = -q --import-mode=importlib -p no:cacheprovider -p no:randomly -p no:hypothesispytest -p no:xdist
        -p no:valkey -p no:anyio {options}
"""
ASYNC_TEST = f"""
    import pytest

    @pytest.mark.parametrize("number", range(TESTS))
    async def test_it(FIXTURE, number):
        await FIXTURE.execute({EVENT!r})
        assert 1 == await FIXTURE.fetchval({COUNT!r})
"""
SYNC_TEST = f"""
    import pytest

    @pytest.mark.parametrize("number", range(TESTS))
    def test_it(postgresql, number):
        postgresql.execute({EVENT!r})
        postgresql.commit()
        assert (1,) == postgresql.execute({COUNT!r}).fetchone()
"""
ROLLBACK = """
    import asyncpg, os, pytest_asyncio

    @pytest_asyncio.fixture(scope="session")
    async def kept():
        connection = await asyncpg.connect(os.environ["BENCH_DATABASE"], ssl=False)
        yield connection
        await connection.close()

    @pytest_asyncio.fixture
    async def rolled_back(kept):
        transaction = kept.transaction()
        await transaction.start()
        yield kept
        await transaction.rollback()
"""
PLAIN_CLONE = """
    import asyncpg, os, pytest_asyncio

    @pytest_asyncio.fixture(scope="session")
    async def maintenance():
        connection = await asyncpg.connect(os.environ["BENCH_MAINTENANCE"], ssl=False)
        yield connection
        await connection.close()

    @pytest_asyncio.fixture
    async def cloned(maintenance):
        of = f"TEMPLATE {os.environ['BENCH_TEMPLATE']} OWNER {os.environ['BENCH_ROLE']} STRATEGY FILE_COPY"
        await maintenance.execute(f"CREATE DATABASE plain {of}")
        server = os.environ["BENCH_DATABASE"].rpartition("/")[0]
        connection = await asyncpg.connect(f"{server}/plain", ssl=False)
        yield connection
        await connection.close()
        await maintenance.execute("DROP DATABASE plain WITH (FORCE)")
"""
PYTEST_POSTGRESQL = """
    import asyncio, os
    from urllib.parse import urlsplit
    from pytest_postgresql import factories
    from sherpa.config import DatabaseSettings, ServiceUrl, SslMode
    from sherpa.db.migrations.runner import migrate

    MAINTENANCE = os.environ["BENCH_MAINTENANCE"]
    URL = urlsplit(MAINTENANCE)

    def migrated(dbname, **_):
        url = ServiceUrl.parse(MAINTENANCE).replace(database=dbname)
        asyncio.run(migrate(DatabaseSettings(url=url, ssl_mode=SslMode.DISABLE)))

    server = factories.postgresql_noproc(
        host=URL.hostname, port=URL.port, user=URL.username, password=URL.password,
        dbname="rival", load=[migrated],
    )
    postgresql = factories.postgresql("server")
"""
DJANGO = """
    import os
    from urllib.parse import urlsplit
    import django
    from django.conf import settings

    URL = urlsplit(os.environ["BENCH_MAINTENANCE"])
    settings.configure(
        INSTALLED_APPS=["app"], USE_TZ=True, SECRET_KEY="x", DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        DATABASES={"default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": URL.username,
            "PASSWORD": URL.password, "HOST": URL.hostname, "PORT": URL.port,
        }},
    )

    def pytest_configure():
        django.setup()
"""
DJANGO_MODELS = """
    import uuid
    from django.db import models

    class Outbox(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        payload = models.JSONField()

    class Processed(models.Model):
        handler = models.TextField()

    class Membership(models.Model):
        tier = models.TextField()

    class Billing(models.Model):
        membership = models.ForeignKey(Membership, on_delete=models.PROTECT)
"""
DJANGO_TEST = """
    import pytest

    @pytest.mark.parametrize("number", range(TESTS))
    @pytest.mark.django_db(transaction=FLUSH)
    def test_it(number):
        from app.models import Outbox
        Outbox.objects.create(payload={})
        assert 1 == Outbox.objects.count()
"""


@dataclass(frozen=True)
class Contender:
    """A way to isolate a test, as a suite for pytest; `floor` names the contender it is measured above."""

    name: str
    test: str
    conftest: str = ""
    options: str = "-p no:postgresql -p no:django"
    loop: str = "session"
    floor: str = "rollback, connection kept"
    files: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path, tests: int) -> None:
        """Write the suite."""
        folder.mkdir(exist_ok=True)
        texts = {
            "pytest.ini": INI.format(loop=self.loop, options=self.options),
            "conftest.py": textwrap.dedent(CLOCK) + textwrap.dedent(self.conftest),
            "test_it.py": self.test.replace("TESTS", str(tests)),
            **self.files,
        }
        for name, text in texts.items():
            file = folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(text))


DJANGO_FILES = {"app/__init__.py": "", "app/models.py": DJANGO_MODELS}
DJANGO_OPTIONS = "-p no:postgresql -p no:asyncio -p no:sherpa_devstack --nomigrations"
CONTENDERS = [
    Contender("rollback, connection kept", ASYNC_TEST.replace("FIXTURE", "rolled_back"), ROLLBACK),
    Contender("ours, connection kept", ASYNC_TEST.replace("FIXTURE", "kept_connection")),
    Contender("ours, new connection", ASYNC_TEST.replace("FIXTURE", "connection"), loop="function"),
    Contender("ours, rollback on a new connection", ASYNC_TEST.replace("FIXTURE", "rollback_connection")),
    Contender("plain clone of a template", ASYNC_TEST.replace("FIXTURE", "cloned"), PLAIN_CLONE),
    Contender("pytest-postgresql", SYNC_TEST, PYTEST_POSTGRESQL, "-p no:django"),
    Contender(
        "pytest-django, rollback",
        DJANGO_TEST.replace("FLUSH", "False"),
        DJANGO,
        DJANGO_OPTIONS,
        files=DJANGO_FILES,
    ),
    Contender(
        "pytest-django, flush",
        DJANGO_TEST.replace("FLUSH", "True"),
        DJANGO,
        DJANGO_OPTIONS,
        floor="pytest-django, rollback",
        files=DJANGO_FILES,
    ),
]


def measure_run(folder: Path, environment: dict[str, str]) -> float:
    """Run a suite and return the milliseconds of a test, in the median."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=folder,
        env={**os.environ, **environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(f"{folder.name} failed:\n{ended.stdout}{ended.stderr}")
    ends = json.loads((folder / "ends.json").read_text())[WARM_UP:]
    gaps: list[float] = [1000 * (after - before) for before, after in pairwise(ends)]
    return statistics.median(gaps)


async def time_files(worker: Worker, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a clone, of its drop, and of `cp -r` and `rm -r` of its files."""
    maintenance = await worker.cluster.connect("postgres")
    template = await template_name(worker)
    number = await maintenance.fetchval("SELECT oid FROM pg_database WHERE datname = $1", template)
    files = worker.session.directory / "postgres" / "data" / "base" / str(number)
    copy = worker.session.directory / "copy"
    taken: dict[str, list[float]] = {name: [] for name in ("clone", "drop", "cp -r", "rm -r")}
    for _ in range(rounds):
        marks = [time.perf_counter()]
        await clone(maintenance, template, "timed", in_memory=worker.cluster.in_memory)
        marks.append(time.perf_counter())
        await maintenance.execute("DROP DATABASE timed")
        marks.append(time.perf_counter())
        await run("cp", "-r", files, copy)
        marks.append(time.perf_counter())
        await run("rm", "-r", copy)
        marks.append(time.perf_counter())
        for name, (start, end) in zip(taken, pairwise(marks), strict=True):
            taken[name].append(1000 * (end - start))
    await maintenance.close()
    return {name: statistics.median(times) for name, times in taken.items()}


async def run(*command: str | Path) -> None:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(*command)
    await process.wait()


async def template_name(worker: Worker) -> str:
    """Return the name of the session's template."""
    maintenance = await worker.cluster.connect("postgres")
    name: str = await maintenance.fetchval(
        "SELECT datname FROM pg_database WHERE datname LIKE 'template\\_%'"
    )
    await maintenance.close()
    return name


def run_rounds(worker: Worker, folder: Path, tests: int, rounds: int) -> dict[str, float]:
    """Run all contenders in turn, again and again; return each one's median milliseconds a test."""
    environment = {
        "BENCH_DATABASE": worker.cluster.settings(worker.lend().database).url.reveal(),
        "BENCH_MAINTENANCE": worker.cluster.superuser_settings("postgres").url.reveal(),
        "BENCH_TEMPLATE": asyncio.run(template_name(worker)),
        "BENCH_ROLE": ROLE,
    }
    taken: dict[str, list[float]] = {contender.name: [] for contender in CONTENDERS}
    for number, contender in enumerate(CONTENDERS):
        contender.write(folder / f"suite_{number}", tests + WARM_UP)
    for _ in range(rounds):
        for number, contender in enumerate(CONTENDERS):
            taken[contender.name].append(measure_run(folder / f"suite_{number}", environment))
            print(".", end="", flush=True, file=sys.stderr)
    print(file=sys.stderr)
    return {name: statistics.median(times) for name, times in taken.items()}


def show(milliseconds: dict[str, float], files: dict[str, float]) -> None:
    """Print the tables."""
    floors = {contender.name: contender.floor for contender in CONTENDERS}
    over = {name: taken - milliseconds[floors[name]] for name, taken in milliseconds.items()}
    ours = over["ours, new connection"]
    print(f"{'':36}{'ms a test':>10}{'over rollback':>15}{'ours, new = 1':>15}")
    for name, taken in milliseconds.items():
        print(f"{name:36}{taken:10.2f}{over[name]:15.2f}{over[name] / ours:15.2f}")
    print()
    for step, floor in (("clone", "cp -r"), ("drop", "rm -r")):
        ratio = files[step] / files[floor]
        print(f"{step} {files[step]:.2f} ms, {floor} {files[floor]:.2f} ms: {ratio:.2f} times the floor")


def main() -> None:
    """Start servers of our own, measure, print, and stop them."""
    parser = argparse.ArgumentParser(description="What isolating a test costs.")
    parser.add_argument("--tests", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    session = Session.new(place.choose())
    worker = Worker(session, "main")
    try:
        with tempfile.TemporaryDirectory() as folder:
            milliseconds = run_rounds(worker, Path(folder), options.tests, options.rounds)
        show(milliseconds, asyncio.run(time_files(worker, 10 * options.rounds)))
    finally:
        worker.close()
        leftovers.end(session)


if __name__ == "__main__":
    main()
