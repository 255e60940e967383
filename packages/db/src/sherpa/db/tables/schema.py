"""What every table declares in the same way, so that declaration and migrated database agree in each fact."""

from enum import StrEnum

from piccolo.columns.defaults.timestamptz import TimestamptzNow
from piccolo.constraints import Check
from piccolo.table import Table


class ServerNow(TimestamptzNow):
    """The server's `now()`, which is how the migrations say it; Piccolo's own says CURRENT_TIMESTAMP."""

    @property
    def postgres(self) -> str:
        """The default as SQL."""
        return "now()"


def statements(table: type[Table]) -> tuple[str, ...]:
    """Return the SQL that makes the table as its class declares it; a Database must be open.

    `ddl_indexes` is ours: Piccolo has no words for partial, descending or compound indexes.
    """
    return (*table.create_table().ddl, *vars(table)["ddl_indexes"])


def one_of(column: str, words: type[StrEnum], *, name: str) -> Check:
    """Permit only the enum's words in the column.

    Written as a string: Piccolo renders `column.is_in([...])` in a constraint as no SQL at all.
    """
    permitted = ", ".join(f"'{word}'" for word in words)
    return Check(f"{column} IN ({permitted})", name=name)
