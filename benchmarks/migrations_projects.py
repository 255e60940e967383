"""The projects of benchmarks/migrations.py: the same changes, written as each tool wants its migrations."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from migrations_changes import Change

import sherpa.db


def write_psql(folder: Path, changes: Sequence[Change]) -> None:
    """Write a script for each way: a transaction for each change, and no history."""
    write(folder, "forwards.sql", *(f"BEGIN;\n{change.forwards}\nCOMMIT;" for change in changes))
    write(folder, "backwards.sql", *(f"BEGIN;\n{change.backwards}\nCOMMIT;" for change in changes[::-1]))


def write_ours(folder: Path, changes: Sequence[Change]) -> None:
    """Copy sherpa.db, but with the changes in the place of its migrations; the copy is found first."""
    package = folder / "sherpa" / "db"
    ignored = shutil.ignore_patterns("__pycache__", "sherpa_[0-9]*.py")
    shutil.copytree(next(iter(sherpa.db.__path__)), package, ignore=ignored)
    for change in changes:
        write(
            package / "migrations" / "versions",
            f"sherpa_{change.stem}.py",
            '"""A change."""',
            "from sherpa.db.migrations.migration import Migration",
            f"ID = {change.stem!r}",
            "VERSION = '1.38.0'",
            "DESCRIPTION = ''",
            *_sql(change),
            "forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)",
        )


def write_piccolo(folder: Path, changes: Sequence[Change]) -> None:
    """Write settings, an app, and migrations whose raw steps run on their transaction's connection.

    That is Piccolo at its quickest: its own `raw` takes one statement at a time.
    """
    settings = """
        import os
        from piccolo.conf.apps import AppRegistry
        from piccolo.engine.postgres import PostgresEngine

        DB = PostgresEngine(config={"dsn": os.environ["DATABASE_URL"]})
        APP_REGISTRY = AppRegistry(apps=["bench.piccolo_app"])
    """
    app = """
        from pathlib import Path
        from piccolo.conf.apps import AppConfig

        MIGRATIONS = Path(__file__).parent / "migrations"
        APP_CONFIG = AppConfig(app_name="bench", migrations_folder_path=str(MIGRATIONS))
    """
    steps = """
        from piccolo.apps.migrations.auto.migration_manager import MigrationManager
        from piccolo.engine.finder import engine_finder

        async def run(sql):
            await engine_finder().current_transaction.get().connection.execute(sql)

        async def forwards():
            manager = MigrationManager(migration_id=ID, app_name="bench", description="")
            manager.add_raw(lambda: run(FORWARDS))
            manager.add_raw_backwards(lambda: run(BACKWARDS))
            return manager
    """
    write(folder, "piccolo_conf.py", settings)
    write(folder / "bench", "piccolo_app.py", app)
    for change in changes:
        head = (f"ID = {change.stem!r}", "VERSION = '1.38.0'", "DESCRIPTION = ''")
        write(folder / "bench" / "migrations", f"bench_{change.stem}.py", *head, *_sql(change), steps)


def write_alembic(folder: Path, changes: Sequence[Change]) -> None:
    """Write settings and revisions, to be run as Alembic does by default: all in one transaction."""
    environment = """
        import os
        from alembic import context
        from sqlalchemy import create_engine, pool

        url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
        with create_engine(url, poolclass=pool.NullPool).connect() as connection:
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
    """
    steps = """
        from alembic import op

        def run(sql):
            op.get_bind().exec_driver_sql(sql, execution_options={"no_parameters": True})

        def upgrade():
            run(FORWARDS)

        def downgrade():
            run(BACKWARDS)
    """
    write(folder, "alembic.ini", "[alembic]", "script_location = %(here)s/scripts")
    write(folder / "scripts", "env.py", environment)
    for before, change in _linked(changes):
        head = f"revision, down_revision = {change.stem!r}, {before!r}"
        write(folder / "scripts" / "versions", f"{change.stem}.py", head, *_sql(change), steps)


def write_django(folder: Path, changes: Sequence[Change]) -> None:
    """Write settings, and one app that has migrations and no models."""
    settings = """
        import os
        from urllib.parse import urlsplit

        URL = urlsplit(os.environ["DATABASE_URL"])
        INSTALLED_APPS = ["bench"]
        DATABASES = {"default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": URL.path[1:], "USER": URL.username,
            "PASSWORD": URL.password, "HOST": URL.hostname, "PORT": URL.port,
        }}
    """
    write(folder, "bench_settings.py", settings)
    for package in (folder / "bench", folder / "bench" / "migrations"):
        write(package, "__init__.py")
    for before, change in _linked(changes):
        write(
            folder / "bench" / "migrations",
            f"{change.stem}.py",
            "from django.db import migrations",
            *_sql(change),
            "class Migration(migrations.Migration):\n"
            f"    dependencies = {[('bench', before)] if before else []!r}\n"
            "    operations = [migrations.RunSQL([(FORWARDS, None)], [(BACKWARDS, None)])]",
        )


def write_yoyo(folder: Path, changes: Sequence[Change]) -> None:
    """Write a file for each change."""
    for before, change in _linked(changes):
        head = ("from yoyo import step", f"__depends__ = {{{before!r}}}" if before else "", *_sql(change))
        write(folder / "migrations", f"{change.stem}.py", *head, "step(FORWARDS, BACKWARDS)")


def write(folder: Path, name: str, *texts: str) -> None:
    """Write a file, and the folders above it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([*map(textwrap.dedent, texts), ""]))


def _sql(change: Change) -> tuple[str, str]:
    return f"FORWARDS = {change.forwards!r}", f"BACKWARDS = {change.backwards!r}"


def _linked(changes: Sequence[Change]) -> Sequence[tuple[str | None, Change]]:
    """Return each change with the name of the one before it."""
    names = [None, *(change.stem for change in changes)]
    return list(zip(names, changes, strict=False))
