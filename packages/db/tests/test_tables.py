"""What the table classes declare can be said without a database, and half a key does no harm."""

from uuid import uuid4

import asyncpg
import pytest
from piccolo.columns import Varchar
from piccolo.table import Table

from sherpa.db.engine import Database
from sherpa.db.errors import HalfKeyError
from sherpa.db.tables import TABLES, ProcessedEvents
from sherpa.db.tables.schema import statements


def test_statements_need_no_database() -> None:
    """The SQL of every table is there while no Database is open, and none is bound afterwards."""
    bound = [table._meta._db for table in TABLES]

    made = [statements(table) for table in TABLES]

    assert all(each[0].startswith("CREATE TABLE ") for each in made)
    assert bound == [table._meta._db for table in TABLES]


def test_no_default_is_none() -> None:
    """A column without a default says nothing about one; a default that is a text of that name stays."""

    class Sample(Table):
        """Two columns, one of which has the strangest default."""

        plain = Varchar(default=None, null=True)
        strange = Varchar(default=" DEFAULT null")
        ddl_indexes = ()

    (create,) = statements(Sample)

    assert '"plain" VARCHAR(255),' in create
    assert "' DEFAULT null'" in create


def test_key_of_several_is_one_key() -> None:
    """The key is both columns, in their order."""
    create, *_ = statements(ProcessedEvents)

    assert "PRIMARY KEY (event_id, handler_name))" in create
    assert 1 == create.count("PRIMARY KEY")


@pytest.mark.parametrize("method", ["save", "remove", "refresh", "update_self"])
def test_half_a_key_is_refused(method: str) -> None:
    """What Piccolo would do to the rows of all handlers of an event is an error, with the way out."""
    row = ProcessedEvents(event_id=uuid4(), handler_name="mail")

    with pytest.raises(HalfKeyError, match=r"use insert\(\).*\(ProcessedEvents: event_id, handler_name\)"):
        getattr(row, method)({})


def test_rows_are_told_apart_by_the_whole_key() -> None:
    """Two handlers' records of one event are two; the same handler's are one."""
    event = uuid4()
    mail, statistic, again = (
        ProcessedEvents(event_id=event, handler_name=handler) for handler in ("mail", "statistic", "mail")
    )

    assert mail != statistic
    assert mail == again
    assert {mail, statistic} == {mail, statistic, again}


async def test_whole_key_works_through_piccolo(database: Database, connection: asyncpg.Connection) -> None:
    """Rows are inserted once for each handler, and changed by where()."""
    event = uuid4()
    rows = [ProcessedEvents(event_id=event, handler_name=name) for name in ("mail", "statistic", "mail")]

    async with database.transaction():
        await ProcessedEvents.insert(*rows).on_conflict(
            target=(ProcessedEvents.event_id, ProcessedEvents.handler_name), action="DO NOTHING"
        )
        await ProcessedEvents.delete().where(
            (ProcessedEvents.event_id == event) & (ProcessedEvents.handler_name == "statistic")
        )

    assert ["mail"] == [
        row["handler_name"] for row in await connection.fetch("SELECT handler_name FROM processed_events")
    ]
