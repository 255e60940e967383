"""The contenders of benchmarks/testdb.py: each a whole pytest suite that isolates tests in its own way."""

import textwrap
from dataclasses import dataclass, field
from pathlib import Path

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
