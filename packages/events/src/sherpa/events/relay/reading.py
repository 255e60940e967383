"""Reading the outbox pass by pass: nothing is overlooked, little is read twice, all is read now and then."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sherpa.events.relay.horizon import Horizon
from sherpa.events.relay.outbox import Batch, Outbox

SAMPLE_SECONDS: Final = 0.25
# What no bound foresees, such as a server's clock that is set back, is found by reading from the beginning.
FULL_PASS_SECONDS: Final = 5.0
# While an old snapshot is held, that reads every event since: it may take 2 % of the time and no more.
FULL_PASS_SHARE: Final = 0.02
# Three batches are in memory at a time, and the broker does nothing else while it takes one.
BATCH_BYTES: Final = 4 * 1024 * 1024


class Reader:
    """The passes over one partition's share of the outbox. `payload_bytes`: the largest payload to expect."""

    def __init__(self, outbox: Outbox, payload_bytes: int) -> None:
        self._outbox = outbox
        self._payload_bytes = payload_bytes
        self._horizon = Horizon()
        self._sample_due = 0.0
        self._full_pass_due = 0.0
        self._clock_ahead = timedelta()

    def restart(self) -> None:
        """Read from the beginning next time, for what was read was not appended, or old events wait again."""
        self._full_pass_due = 0.0

    def server_time(self) -> datetime:
        """Return the server's time, as the last sample lets us reckon it."""
        return datetime.now(UTC) + self._clock_ahead

    async def read(self, in_flight: Sequence[str], limit: int) -> Batch:
        """Return the oldest events that are not marked, without those in flight, at most `limit`.

        It is fewer where payloads are large, judged by those of the batch before.
        """
        started = time.monotonic()
        if started >= self._sample_due:
            await self._sample(started)
        is_full_pass = started >= self._full_pass_due
        if is_full_pass:
            self._full_pass_due = math.inf  # a restart that is asked for meanwhile sets it back to 0
            self._horizon.restart()
        fitting = max(1, BATCH_BYTES // self._payload_bytes)
        batch = await self._outbox.read(self._horizon.bounds, in_flight, min(limit, fitting))
        self._horizon.passed(batch.reached)
        if batch.entries:
            total = sum(len(entry["payload"]) for entry in batch.entries)
            self._payload_bytes = 1 + total // len(batch.entries)
        if self._full_pass_due == math.inf:
            now = time.monotonic()
            self._full_pass_due = now + max(FULL_PASS_SECONDS, (now - started) / FULL_PASS_SHARE)
        return batch

    async def _sample(self, now: float) -> None:
        sample = await self._outbox.sample()
        self._horizon.observe(sample)
        self._clock_ahead = sample.at - datetime.now(UTC)
        self._sample_due = now + SAMPLE_SECONDS
