"""Heals a loss of the broker's data: what handlers may not have had is published again, and first.

Why so: docs/decisions/0109-the-relay-heals-a-loss-of-data.md and 0113-a-bookmark-in-the-broker.md.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from sherpa.config import EventsSettings
from sherpa.events.brokers.broker import BEGINNING, Broker, PartitionState
from sherpa.events.metrics import RelayMetrics
from sherpa.events.relay.bookmark import Bookmark
from sherpa.events.relay.holdings import Holdings
from sherpa.events.relay.horizon import BEGINNING as FIRST
from sherpa.events.relay.outbox import Outbox
from sherpa.telemetry.logging import get_logger

log = get_logger(__name__)

LATELY: Final = timedelta(minutes=15)
"""A relay that knows nothing of what the broker held takes handlers to have been no further behind."""


class Healing:
    """Looks after one partition's stream. `groups` are there before anything is appended."""

    def __init__(
        self,
        broker: Broker,
        partition: int,
        holdings: Holdings,
        *,
        groups: Collection[str],
        settings: EventsSettings,
        metrics: RelayMetrics,
    ) -> None:
        self._broker = broker
        self._partition = partition
        self._holdings = holdings
        self._groups = frozenset(groups)
        self._partitions = settings.partitions
        self._replay_days = settings.replay_days
        self._metrics = metrics

    async def check(
        self, outbox: Outbox, state: PartitionState, now: datetime, *, is_new: bool, is_taken_anew: bool
    ) -> bool:
        """Compare a trimmed stream with what it held, and heal a loss; tell whether there may be one.

        `now` is PostgreSQL's time, from before the trimming; `is_new`: the broker knows of no relay before
        this one; `is_taken_anew`: others may have appended since the last look. Failing, it is to be called
        again.
        """
        is_lost = self._holdings.are_lost(state)
        groups = self._groups | (self._holdings.groups if is_lost else frozenset())
        await self._make(groups - {group.name for group in state.groups})
        since = self._holdings.since or FIRST if is_lost else None
        if is_taken_anew and not is_lost:
            since = await self._find_end(outbox, state)
        if since:
            await self._recall(outbox, since)
        elif self._knows_nothing(state) and (is_new or state.bookmark):
            await self._suspect(outbox, now)
        self._holdings.note(state, now)
        self._holdings.groups |= groups
        return since is not None

    async def _find_end(self, outbox: Outbox, state: PartitionState) -> datetime | None:
        """Return since when events were published that the broker has lost, as its bookmark shows."""
        bookmark = Bookmark.parse(state.bookmark)
        if bookmark is None or bookmark.entry_id != state.last_id:
            return None  # the stream was ended by somebody who leaves none, as an earlier release of ours
        if bookmark.partitions != self._partitions:
            return None  # what was divided otherwise was drained before
        return await outbox.followed(bookmark.event_id, bookmark.created_at)

    def _knows_nothing(self, state: PartitionState) -> bool:
        return self._holdings.since is None and state.last_id == BEGINNING

    async def _make(self, missing: Collection[str]) -> None:
        # What one group is done with is trimmed: another one that is made later would never be given it.
        for group in sorted(missing):
            await self._broker.ensure_group(self._partition, group)

    async def _recall(self, outbox: Outbox, since: datetime) -> None:
        count = await outbox.recall(since, days=self._replay_days)
        self._metrics.recalled.inc(count)
        log.warning(
            "the broker has lost data: what handlers may not have had is published again",
            partition=self._partition,
            events=count,
            since=since.isoformat(),
        )

    async def _suspect(self, outbox: Outbox, now: datetime) -> None:
        """Publish again what was published lately: the broker has never had any of it, or lost it all."""
        since = now - LATELY
        count = await outbox.recall(since, days=self._replay_days)
        if not count:
            return
        self._metrics.recalled.inc(count)
        log.warning(
            "the broker has no trace of what was published: what was lately is published again; if it has"
            " lost data while handlers were further behind, run `inv events replay --since …`",
            partition=self._partition,
            events=count,
            since=since.isoformat(),
        )
