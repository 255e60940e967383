"""Which database the tables' queries go to: Piccolo's tables are classes, so one per process at a time."""

from sherpa.db.postgres import PooledEngine
from sherpa.db.tables import TABLES

_open: list[PooledEngine] = []


def bind(engine: PooledEngine) -> None:
    """Send the tables' queries to this engine, until it is released or another one is bound."""
    _open.append(engine)
    _point_tables_to(engine)


def release(engine: PooledEngine) -> None:
    """Send the tables' queries to the engine that was bound before and is still open.

    Where there is none they keep the closed one, whose error says so.
    """
    if engine in _open:
        _open.remove(engine)
    if _open:
        _point_tables_to(_open[-1])


def _point_tables_to(engine: PooledEngine) -> None:
    for table in TABLES:
        table._meta.db = engine
