"""Which posts there are and what they are made of: the domain's handlers, the relay, and what they share."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sherpa.config import DatabaseSettings, EventsSettings, WorkerSettings
from sherpa.config.sections.worker import NO_HANDLERS
from sherpa.db.dsn import require_sessions
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseRefusedError
from sherpa.events.brokers.broker import Broker
from sherpa.events.handling.checks import check_handlers
from sherpa.events.handling.consumer import Consumer, sessions_of
from sherpa.events.handling.handler import Handler
from sherpa.events.metrics import Metrics
from sherpa.events.relay.relay import Relay
from sherpa.events.seats import RELAY, Seat
from sherpa.worker.crew import Post
from sherpa.worker.duties import Duty, pruning
from sherpa.worker.errors import WrongSettingsError
from sherpa.worker.settings import ProcessSettings

HANDLER_ROLE = "handler/"
# For probes, samples, duties and publishing's wake-ups, beside the sessions of the handlers.
SPARE_CONNECTIONS = 8
# After a change of EVENTS_PARTITIONS the streams of the old division are worked off, too.
LEAST_PARTITIONS = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """What this worker does: whether it relays, which handlers it runs, its duties; in so many partitions."""

    relay: bool
    handlers: tuple[Handler, ...]
    partitions: int
    duties: tuple[Duty, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that this worker can play."""
        relay = (RELAY,) if self.relay else ()
        return (*relay, *(f"{HANDLER_ROLE}{handler.name}" for handler in self.handlers))

    def sized(self, settings: DatabaseSettings) -> DatabaseSettings:
        """Return the settings with a pool that has a connection for every session of the handlers."""
        sessions = sum(map(sessions_of, self.handlers)) * max(self.partitions, LEAST_PARTITIONS)
        return replace(settings, min_connections=1, max_connections=sessions + SPARE_CONNECTIONS)


def make_plan(settings: ProcessSettings, handlers: Sequence[Handler], duties: Sequence[Duty] = ()) -> Plan:
    """Choose from the domain's handlers that there are; its duties are done where any of its handlers runs.

    Raises WrongSettingsError, or InvalidHandlersError for declarations that can't work with the settings.
    """
    try:
        require_sessions(settings.database, "The worker")
    except DatabaseRefusedError as error:
        raise WrongSettingsError(str(error)) from error
    events = settings.events
    remembered = timedelta(days=events.dedupe_retention_days - events.replay_days)
    check_handlers(handlers, dedupe_retention=remembered)
    chosen = _chosen(settings.worker, handlers)
    of_the_domain = () if settings.worker.handlers == NO_HANDLERS else duties
    return Plan(settings.worker.relay, chosen, events.partitions, (pruning(events), *of_the_domain))


def _chosen(settings: WorkerSettings, handlers: Sequence[Handler]) -> tuple[Handler, ...]:
    if settings.handlers == NO_HANDLERS:
        return ()
    by_name = {handler.name: handler for handler in handlers}
    if unknown := [name for name in settings.handlers if name not in by_name]:
        raise WrongSettingsError(
            f"WORKER_HANDLERS names {', '.join(unknown)}, which no handler is called."
            f" There are: {', '.join(by_name)}. Leave it empty for all of them; none, alone, is no handler."
        )
    return tuple(by_name[name] for name in settings.handlers or by_name)


class Appointments:
    """Makes the post of a seat."""

    def __init__(
        self, settings: ProcessSettings, plan: Plan, database: Database, broker: Broker, metrics: Metrics
    ) -> None:
        self._database_settings = settings.database
        self._events: EventsSettings = settings.events
        self._handlers = {f"{HANDLER_ROLE}{handler.name}": handler for handler in plan.handlers}
        self._database, self._broker, self._metrics = database, broker, metrics
        self._alone = asyncio.Lock()

    def __call__(self, seat: Seat) -> Post:
        """Return a new post for the seat."""
        if seat.role == RELAY:
            return Relay(
                self._database_settings,
                self._broker,
                partition=seat.partition,
                settings=self._events,
                metrics=self._metrics,
                groups=[handler.name for handler in self._handlers.values()],
            )
        return Consumer(
            self._handlers[seat.role],
            seat.partition,
            partitions=self._events.partitions,
            database=self._database,
            broker=self._broker,
            metrics=self._metrics,
            alone=self._alone,
        )
