"""A migration file, read: its steps both ways, checked to be what the runner can do in one transaction.

The file's `forwards()` returns Piccolo's MigrationManager. That is looked at by its shape alone, so that this
module does not import Piccolo.
"""

import dataclasses
import importlib.util
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, cast

from sherpa.db.migrations.errors import BrokenMigrationError
from sherpa.db.migrations.files import APP_NAME, MigrationFile

type RunStep = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Migration:
    """What one migration does forwards, and backwards (at least one step each)."""

    id: str
    forwards: tuple[RunStep, ...]
    backwards: tuple[RunStep, ...]


class _Manager(Protocol):
    """The part of Piccolo's MigrationManager that we use."""

    migration_id: str
    app_name: str
    description: str
    raw: list[RunStep]
    raw_backwards: list[RunStep]


async def load(file: MigrationFile) -> Migration:
    """Import the file and read its steps; raise `BrokenMigrationError` when it is not what we can run."""
    module = _import(file)
    if getattr(module, "ID", None) != file.id:
        raise BrokenMigrationError(
            f"{file.path} says ID = {getattr(module, 'ID', None)!r}, "
            f"its name says {file.id!r}: make them the same."
        )
    try:
        manager = await module.forwards()
    except Exception as error:
        raise BrokenMigrationError(f"{file.path}: forwards() cannot be called: {error!r}.") from error
    if not dataclasses.is_dataclass(manager) or isinstance(manager, type):
        raise BrokenMigrationError(
            f"{file.path}: forwards() must return a MigrationManager, not {manager!r}."
        )
    return _read_steps(file, cast("_Manager", manager))


def _read_steps(file: MigrationFile, manager: _Manager) -> Migration:
    bare = dataclasses.replace(cast("Any", manager), raw=[], raw_backwards=[])
    if bare != type(manager)(migration_id=file.id, app_name=APP_NAME, description=manager.description):  # type: ignore[call-arg]
        raise BrokenMigrationError(
            f"{file.path}: its MigrationManager must carry {file.id!r}, {APP_NAME!r} and raw steps alone: "
            f"build it by sql_migration()."
        )
    if not manager.raw or not manager.raw_backwards:
        raise BrokenMigrationError(f"{file.path} needs steps both ways: add_raw() and add_raw_backwards().")
    return Migration(file.id, tuple(manager.raw), tuple(manager.raw_backwards))


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
