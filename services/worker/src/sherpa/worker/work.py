"""What the worker does between its start and its end: open, check, share the seats, look how things are."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack

from sherpa.config import Environment
from sherpa.db.engine import Database
from sherpa.db.errors import DatabaseError
from sherpa.events.brokers.broker import Broker
from sherpa.events.brokers.connect import connect
from sherpa.events.errors import BrokerRefusedError
from sherpa.events.metrics import Metrics
from sherpa.events.publishing import limit_payloads
from sherpa.events.seats import Roster
from sherpa.telemetry.logging import get_logger
from sherpa.worker.answers import Answers
from sherpa.worker.crew import Crew
from sherpa.worker.duties import DutyMetrics, Rounds
from sherpa.worker.errors import StartupError
from sherpa.worker.examination import BEHIND, CURRENT, Examiner
from sherpa.worker.repetition import Repetition
from sherpa.worker.rights import Rights
from sherpa.worker.sampler import Sampler
from sherpa.worker.settings import ProcessSettings
from sherpa.worker.vitals import Phase, Vitals
from sherpa.worker.wiring import Appointments, Plan

OPEN_SECONDS = 30.0
CLOSE_SECONDS = 1.0
LOOK_SECONDS = 0.5
EXAMINE_SECONDS = 1.0
SOON_SECONDS = 0.05
SAMPLE_SECONDS = 5.0

_log = get_logger(__name__)


class Work:
    """The loops of one worker. Making it opens nothing."""

    def __init__(self, settings: ProcessSettings, plan: Plan, vitals: Vitals) -> None:
        self._settings, self._plan, self._vitals = settings, plan, vitals
        self._metrics = Metrics()
        self._crew: Crew | None = None
        self._leftovers: frozenset[int] = frozenset()
        self.answers = Answers(vitals, self._metrics.registry)

    async def run(self, resources: AsyncExitStack) -> None:
        """Work until cancelled; `resources` closes what was opened. Raises StartupError."""
        database = await self._open_database(resources)
        broker = connect(self._settings.redis, client_name="sherpa-worker")
        resources.push_async_callback(broker.close)
        rights = Rights(database, self._plan.roles)
        examiner = Examiner(database, broker, rights)
        resources.push_async_callback(examiner.close)
        await _together(
            self._examine(examiner),
            self._sample(database, broker),
            self._work(database, broker, rights),
        )

    async def dismiss(self, *, within_seconds: float, hurry: asyncio.Future[None]) -> bool:
        """End the work; tell whether what ran was finished."""
        if self._crew is None:
            return True
        return await self._crew.dismiss(within_seconds=within_seconds, hurry=hurry)

    async def gone(self, *, within_seconds: float) -> None:
        """Wait for what was cancelled to roll back."""
        if self._crew is not None:
            await self._crew.gone(within_seconds=within_seconds)

    async def _open_database(self, resources: AsyncExitStack) -> Database:
        database = Database(self._plan.sized(self._settings.database), application_name="sherpa-worker")
        try:
            await database.open(within_seconds=OPEN_SECONDS)
        except DatabaseError as error:
            raise StartupError(str(error)) from error
        resources.push_async_callback(database.close, grace_seconds=CLOSE_SECONDS)
        limit_payloads(database, self._settings.events.payload_bytes)
        return database

    async def _examine(self, examiner: Examiner) -> None:
        while True:
            self._vitals.report = await examiner.examine()
            if self._vitals.phase is Phase.STARTING:
                self._vitals.phase = Phase.WORKING
            await asyncio.sleep(EXAMINE_SECONDS)

    async def _sample(self, database: Database, broker: Broker) -> None:
        sampler = Sampler(database, broker, self._metrics, partitions=self._plan.partitions)

        async def sample() -> None:
            self._leftovers = (await sampler.sample()).difference(range(self._plan.partitions))

        await Repetition("sampling for metrics").forever(sample, every_seconds=SAMPLE_SECONDS)

    async def _work(self, database: Database, broker: Broker, rights: Rights) -> None:
        await self._await_schema()
        await _together(self._relay_and_handle(database, broker, rights), self._do_duties(database))

    async def _do_duties(self, database: Database) -> None:
        instruments = DutyMetrics(self._metrics.registry)
        await _together(
            *(
                Repetition(duty.name).forever(
                    Rounds(duty, database, instruments).go, every_seconds=duty.every_seconds
                )
                for duty in self._plan.duties
            )
        )

    async def _relay_and_handle(self, database: Database, broker: Broker, rights: Rights) -> None:
        await self._examine_broker(broker)
        roster = Roster(self._settings.database, self._plan.roles, partitions=self._plan.partitions)
        self._crew = crew = Crew(
            roster,
            Appointments(self._settings, self._plan, database, broker, self._metrics),
            partitions=self._plan.partitions,
        )

        async def share() -> None:
            crew.leftovers = self._leftovers
            roster.play(rights.able)
            try:
                await crew.step()
            finally:
                self._show_shares(roster, crew)

        await Repetition("sharing the seats").forever(share, every_seconds=LOOK_SECONDS)

    def _show_shares(self, roster: Roster, crew: Crew) -> None:
        self._metrics.workers.set(roster.workers)
        held = Counter(seat.role for seat in crew.seats)
        for role in self._plan.roles:
            self._metrics.seats.labels(role).set(held[role])

    async def _await_schema(self) -> None:
        """Wait until the schema is the code's: the worker, too, never migrates."""
        told = False
        while (found := self._vitals.report.statuses.get("schema")) != CURRENT:
            if found == BEHIND and not told:
                told = True
                _log.warning("the schema is not at the code's head; waiting for `migrate`")
            await asyncio.sleep(SOON_SECONDS)

    async def _examine_broker(self, broker: Broker) -> None:
        """Look whether it could lose what it confirmed; in production that is a StartupError."""
        asking = Repetition("asking Redis how it keeps events")
        weaknesses = await asking.insist(lambda: self._weaknesses(broker), every_seconds=LOOK_SECONDS)
        if weaknesses and self._settings.server.environment is Environment.PRODUCTION:
            reasons = " ".join(weaknesses)
            raise StartupError(f"Redis could lose events, which production does not allow. {reasons}")
        for weakness in weaknesses:
            _log.warning("Redis could lose events", weakness=weakness)

    async def _weaknesses(self, broker: Broker) -> Sequence[str]:
        try:
            return await broker.weaknesses()
        except BrokerRefusedError as error:
            raise StartupError(str(error)) from error


async def _together(*loops: Coroutine[None, None, None]) -> None:
    """Run the loops until one fails or all are cancelled; none of them goes on after that."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
