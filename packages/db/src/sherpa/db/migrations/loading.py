"""Reads a migration from its file, and refuses what the runner could not keep its promises with."""

import inspect
import math
from collections.abc import Sequence
from types import ModuleType

from sherpa.db.migrations.errors import BrokenMigrationError
from sherpa.db.migrations.execution.concurrently import read_index
from sherpa.db.migrations.files import MigrationFile
from sherpa.db.migrations.migration import Irreversible, Loaded, Migration, Way
from sherpa.db.migrations.sqltext import has_statement
from sherpa.db.migrations.unfinished import unfinished_lines


def load_with_source(file: MigrationFile) -> Loaded:
    """Load the migration as `load` does, together with the text that is to be recorded."""
    source = file.read_source()
    return Loaded(_load(file, source), source)


def load(file: MigrationFile) -> Migration:
    """Import the file and return its migration; raise `BrokenMigrationError` for none, or a faulty one."""
    return _load(file, file.read_source())


def _load(file: MigrationFile, source: str) -> Migration:
    module = _import(file, source)
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
    if fault := _find_fault(migration):
        raise BrokenMigrationError(f"{file.path}: {fault}")
    return migration


def _find_fault(migration: Migration) -> str | None:
    """Return what is wrong with the migration, and what to do; None when it can be run."""
    faults = (
        _find_open_decision(migration),
        _find_fault_of_limit("lock_timeout_seconds", migration.lock_timeout_seconds),
        _find_fault_of_limit("statement_timeout_seconds", migration.statement_timeout_seconds),
        _find_fault_of_way("forwards", migration.forwards, migration),
        _find_fault_of_way("backwards", migration.backwards, migration),
    )
    return next((fault for fault in faults if fault), None)


def _find_fault_of_limit(name: str, seconds: float | None) -> str | None:
    if seconds is None or 0 <= seconds < math.inf:
        return None
    return f"{name} must be a number of seconds, or 0 for no limit; not {seconds!r}."


def _find_fault_of_way(name: str, way: Way | Irreversible, migration: Migration) -> str | None:
    match way:
        case Irreversible(reason) if name == "backwards" and reason.strip():
            return None
        case str() if _is_statement(way) and not migration.transaction:
            return (
                f"without a transaction, {name} must be a tuple of single statements: "
                f"in one script PostgreSQL would make them one transaction all the same."
            )
        case str() if _is_statement(way):
            return None
        case Sequence() if not isinstance(way, str) and way and all(map(_is_statement, way)):
            return None if migration.transaction else _find_fault_of_indexes(name, way)
        case _ if inspect.iscoroutinefunction(way) or inspect.iscoroutinefunction(type(way).__call__):
            return None
    return (
        f"{name} must be SQL, a tuple of SQL statements, or an async function that takes a Run, none of them "
        f"empty; where there is no way back, backwards=Irreversible('why')."
    )


def _find_open_decision(migration: Migration) -> str | None:
    """Refuse what `inv migration` wrote and nobody has finished: to apply nothing would look like success."""
    for name, way in (("forwards", migration.forwards), ("backwards", migration.backwards)):
        statements = [way] if isinstance(way, str) else way if isinstance(way, Sequence) else ()
        for statement in statements:
            if lines := unfinished_lines(str(statement)):
                return f"{name} is not finished, it says: {lines[0]}"
    return None


def _is_statement(part: object) -> bool:
    # Comments alone are no statement: the driver fails at them, and doing nothing should be said aloud.
    return isinstance(part, str) and has_statement(part)


def _find_fault_of_indexes(name: str, statements: Sequence[str]) -> str | None:
    """Refuse before anything runs what could not go on after a crash."""
    try:
        for statement in statements:
            read_index(statement)
    except ValueError as error:
        return f"{name}: {error}"
    return None


def _import(file: MigrationFile, source: str) -> ModuleType:
    """Run the text as a module, kept out of `sys.modules`: what is recorded is what ran, not old bytecode."""
    module = ModuleType(f"{__package__}.versions.{file.path.stem}")
    module.__file__ = str(file.path)
    try:
        code = compile(source, file.path, "exec")
        exec(code, module.__dict__)  # noqa: S102 (code of ours)
    except Exception as error:
        raise BrokenMigrationError(f"{file.path} cannot be imported: {error!r}.") from error
    return module
