"""The plan: what a worker does by its settings and the handlers that there are."""

from dataclasses import replace

import pytest

from sherpa.config import (
    DatabaseSettings,
    EventsSettings,
    LoggingSettings,
    RedisSettings,
    ServerSettings,
    ServiceUrl,
    WorkerSettings,
)
from sherpa.db.engine import Database
from sherpa.db.transaction import Transaction
from sherpa.events.event import Payload, Received
from sherpa.events.handling.errors import InvalidHandlersError
from sherpa.events.handling.handler import Backoff, Handler, Kind
from sherpa.worker.duties import Duty
from sherpa.worker.errors import WrongSettingsError
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.wiring import SPARE_CONNECTIONS, make_plan


class Happened(Payload, frozen=True, kw_only=True):
    """Something."""

    event_type = "thing.happened"
    aggregate_type = "thing"


async def handle(_transaction: Transaction, _event: Received[Happened]) -> None:
    """Do nothing."""


ONE = Handler(name="one", takes=(Happened,), handle=handle, concurrency=3)
TWO = Handler(name="two", takes=(Happened,), handle=handle, kind=Kind.BATCH)


async def count(_database: Database) -> int:
    """Do nothing."""
    return 0


CENSUS = Duty("census", 60, count)


def settings(
    worker: WorkerSettings | None = None, events: EventsSettings | None = None, *, cache: int = 100
) -> ProcessSettings:
    """Settings of a worker."""
    url = ServiceUrl.parse("postgresql://sherpa@db/choice")
    return ProcessSettings(
        server=ServerSettings(),
        database=DatabaseSettings(url=url, statement_cache_size=cache),
        redis=RedisSettings(url=ServiceUrl.parse("redis://cache")),
        events=events or EventsSettings(),
        worker=worker or WorkerSettings(),
        email=None,
        logging=LoggingSettings(),
    )


@pytest.mark.parametrize(
    ("worker", "roles"),
    [
        (WorkerSettings(), ("relay", "handler/one", "handler/two")),
        (WorkerSettings(relay=False), ("handler/one", "handler/two")),
        (WorkerSettings(handlers=("two",)), ("relay", "handler/two")),
        (WorkerSettings(handlers=("none",)), ("relay",)),
    ],
)
def test_settings_choose_the_roles(worker: WorkerSettings, roles: tuple[str, ...]) -> None:
    """A worker plays the roles that it is configured for, all of them by default."""
    assert roles == make_plan(settings(worker), [ONE, TWO]).roles


@pytest.mark.parametrize(
    ("worker", "duties"),
    [
        (WorkerSettings(), ["prune", "census"]),
        (WorkerSettings(relay=False, handlers=("two",)), ["prune", "census"]),
        (WorkerSettings(handlers=("none",)), ["prune"]),
    ],
)
def test_duties_of_the_domain_go_with_its_handlers(worker: WorkerSettings, duties: list[str]) -> None:
    """Who runs any handler does the domain's duties, too; who only relays may not even have its rights."""
    plan = make_plan(settings(worker), [ONE, TWO], [CENSUS])

    assert duties == [duty.name for duty in plan.duties]


def test_unknown_handlers_are_refused() -> None:
    """A name that no handler has is told, with those that there are."""
    with pytest.raises(WrongSettingsError, match=r"names three, which no handler is called.*: one, two\."):
        make_plan(settings(WorkerSettings(handlers=("one", "three"))), [ONE, TWO])


def test_a_pooler_is_refused() -> None:
    """Behind PgBouncer nobody can hold a lock: said before anything is opened."""
    with pytest.raises(WrongSettingsError, match="is a pooler"):
        make_plan(settings(cache=0), [ONE])


def test_two_handlers_of_one_name_are_refused() -> None:
    """The name is how an event is known to be done."""
    with pytest.raises(InvalidHandlersError, match="'one' is the name of 2 handlers"):
        make_plan(settings(), [ONE, ONE])


def test_retries_end_while_their_event_is_remembered() -> None:
    """Retries that outlast the memory of what was done, less a replay, are refused."""
    patient = replace(ONE, attempts=60, backoff=Backoff(first_seconds=80_000, most_seconds=86_400))
    events = EventsSettings(dedupe_retention_days=8, replay_days=7)

    with pytest.raises(InvalidHandlersError, match="EVENTS_DEDUPE_RETENTION_DAYS"):
        make_plan(settings(events=events), [patient])


def test_the_pool_has_room_for_every_session() -> None:
    """Each partition's lanes have a connection, whatever DATABASE_MAX_CONNECTIONS says for the API."""
    asked = settings(events=EventsSettings(partitions=64))

    pool = make_plan(asked, [ONE, TWO]).sized(replace(asked.database, max_connections=2))

    assert 64 * (3 + 1) + SPARE_CONNECTIONS == pool.max_connections
