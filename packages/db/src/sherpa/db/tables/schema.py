"""What every table declares in the same way, so that declaration and migrated database agree in each fact."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from typing import ClassVar, Final, NoReturn, override

from piccolo.columns import Serial
from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.constraints import Check
from piccolo.engine.postgres import PostgresEngine
from piccolo.table import Table

from sherpa.db.errors import HalfKeyError

# Piccolo writes it, last, for every column without a default; for a varchar PostgreSQL keeps it in the
# catalogue, as `NULL::character varying`.
_NO_DEFAULT: Final = " DEFAULT null"


class ServerNow(TimestamptzNow):
    """The server's `now()`, which is how the migrations say it; Piccolo's own says CURRENT_TIMESTAMP."""

    @property
    def postgres(self) -> str:
        """The default as SQL."""
        return "now()"


VACUUM_BY_CHANGES: Final = {
    "autovacuum_vacuum_scale_factor": 0,
    "autovacuum_vacuum_threshold": 2000,
    "autovacuum_vacuum_cost_delay": 0,
}
"""Storage parameters of a large table with many changes: vacuumed by their number, whatever its size."""


class Identity(Serial):
    """A bigint that the server counts up by itself; whoever inserts leaves it out, as Piccolo does."""

    @property
    @override
    def column_type(self) -> str:
        return "BIGINT GENERATED ALWAYS AS IDENTITY"

    @property
    @override
    def ddl(self) -> str:
        """The column as SQL: Piccolo's own would give it a default, too."""
        return f'"{self._meta.db_column_name}" {self.column_type}'


class KeyOfSeveral:
    """A table whose primary key is several columns, `key_columns`; stands before Table among the bases.

    Piccolo knows keys of one column: the first one is declared as `primary_key=True`. What goes by it alone
    would hit the rows of others, and raises `HalfKeyError`; insert(), and all that goes by where(), work.
    """

    key_columns: ClassVar[tuple[str, ...]]

    def __eq__(self, other: object) -> bool:
        """Tell whether the other is the same row, by the whole key."""
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def save(self, *_: object, **__: object) -> NoReturn:
        """Refuse, as all that goes by half the key."""
        raise HalfKeyError(table=type(self).__name__, key=self.key_columns)

    remove = refresh = update_self = get_related = add_m2m = get_m2m = remove_m2m = save

    def _key(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.key_columns)


class _Dialect(PostgresEngine):
    """An engine that Piccolo asks for its kind of SQL, and that never connects."""

    async def check_version(self) -> None:
        """Ask nothing: Piccolo's own opens a connection."""


def statements(table: type[Table]) -> tuple[str, ...]:
    """Return the SQL that makes the table as its class declares it. Needs no database.

    `ddl_indexes` is ours: Piccolo has no words for partial, descending or compound indexes. So is `storage`,
    the table's storage parameters.
    """
    with _speaking_postgres(table):
        _, *indexes_and_constraints = table.create_table().ddl
        columns = [column.ddl.removesuffix(_NO_DEFAULT) for column in table._meta.columns]
    if issubclass(table, KeyOfSeveral):
        columns = [column.replace(" PRIMARY KEY", "", 1) for column in columns]
        columns.append(f"PRIMARY KEY ({', '.join(table.key_columns)})")
    create = f"CREATE TABLE {table._meta.get_formatted_tablename()} ({', '.join(columns)})"
    if storage := vars(table).get("storage"):
        create += f" WITH ({', '.join(f'{name} = {value}' for name, value in storage.items())})"
    return (create, *indexes_and_constraints, *vars(table)["ddl_indexes"])


def one_of(column: str, words: type[StrEnum], *, name: str) -> Check:
    """Permit only the enum's words in the column.

    Written as a string: Piccolo renders `column.is_in([...])` in a constraint as no SQL at all.
    """
    permitted = ", ".join(f"'{word}'" for word in words)
    return Check(f"{column} IN ({permitted})", name=name)


@contextmanager
def _speaking_postgres(table: type[Table]) -> Iterator[None]:
    # Piccolo takes the dialect from the table's engine, and looks for a piccolo_conf where there is none.
    bound = table._meta._db
    table._meta._db = _dialect()
    try:
        yield
    finally:
        table._meta._db = bound


@cache
def _dialect() -> PostgresEngine:
    return _Dialect(config={})
