"""Reads a migration from its file, and refuses what the runner could not keep its promises with."""

import importlib.util
from types import ModuleType

from sherpa.db.migrations.errors import BrokenMigrationError
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.migration import Irreversible, Migration


def load(file: MigrationFile) -> Migration:
    """Import the file and return its migration; raise `BrokenMigrationError` for none, or a faulty one."""
    module = _import(file)
    migration = getattr(module, "forwards", None)
    if not isinstance(migration, Migration):
        raise BrokenMigrationError(
            f"{file.path}: `forwards` must be a Migration, not {migration!r}: "
            f"forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)."
        )
    if not file.id == migration.id == getattr(module, "ID", None):
        raise BrokenMigrationError(
            f"{file.path} says ID = {getattr(module, 'ID', None)!r} and Migration({migration.id!r}, …), "
            f"its name says {file.id!r}: make them the same."
        )
    _check(file, migration)
    return migration


def _check(file: MigrationFile, migration: Migration) -> None:
    for name, way in (("forwards", migration.forwards), ("backwards", migration.backwards)):
        if isinstance(way, Irreversible) and name == "backwards" and way.reason.strip():
            continue
        if isinstance(way, str) and not migration.transaction:
            raise BrokenMigrationError(
                f"{file.path}: without a transaction, {name} must be a tuple of single statements: "
                f"in one script PostgreSQL would make them one transaction all the same."
            )
        if not way or isinstance(way, Irreversible) or (isinstance(way, str) and not way.strip()):
            raise BrokenMigrationError(
                f"{file.path}: {name} is empty. A migration has steps both ways; "
                f"where there is no way back: backwards=Irreversible('why')."
            )


def _import(file: MigrationFile) -> ModuleType:
    """Run the file as a module of its own name, kept out of `sys.modules`."""
    spec = importlib.util.spec_from_file_location(f"{__package__}.versions.{file.path.stem}", file.path)
    if spec is None or spec.loader is None:
        raise BrokenMigrationError(f"{file.path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BrokenMigrationError(f"{file.path} cannot be imported: {error!r}.") from error
    return module
