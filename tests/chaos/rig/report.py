"""The soak's report: the faults and how soon they were recovered from, the invariants, and sizes."""

import contextlib
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rig.ledger import Verdict
from rig.producing import Tally
from rig.stand import Stand

SIZES = """
    SELECT (SELECT count(*) FROM outbox WHERE processed_at IS NULL) AS pending,
           pg_total_relation_size('outbox') AS outbox_bytes,
           pg_total_relation_size('processed_events') AS processed_bytes,
           (SELECT count(*) FROM failed_events) AS failed,
           coalesce((SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'outbox'), 0) AS dead,
           (SELECT count(*) FROM chaos_committed) AS committed
"""
MIB = 1024 * 1024
GOOD = "every committed event had its effect once and in order"
COLUMNS = (
    *("minute", "committed", "pending", "stream entries", "failed", "dead rows"),
    *("outbox MiB", "dedupe MiB", "Valkey MiB"),
)


@dataclass(frozen=True)
class Sizes:
    """How large everything is at one moment; the streams' entries, and Valkey's memory in bytes."""

    seconds: float
    committed: int
    pending: int
    failed: int
    dead: int
    outbox_bytes: int
    processed_bytes: int
    stream_entries: int = 0
    valkey_bytes: int = 0

    @classmethod
    async def of(cls, stand: Stand, seconds: float) -> Self:
        """Look; Valkey counts as empty while it is away."""
        row = dict(await stand.ledger.ask(SIZES))
        with contextlib.suppress(OSError):
            row["stream_entries"] = await stand.waiting()
            row["valkey_bytes"] = await stand.memory()
        return cls(seconds=seconds, **row)


@dataclass
class Report:
    """What a soak has seen so far; `write` puts it into the file."""

    file: Path
    title: str
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    sizes: list[Sizes] = field(default_factory=list)
    tally: Tally | None = None
    verdict: Verdict | None = None
    failure: str = ""
    logs: str = ""
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """The seconds since the beginning."""
        return time.monotonic() - self._began

    def write(self) -> str:
        """Write the report and return its text."""
        text = "\n".join(self._lines())
        self.file.write_text(text)
        return text

    def _lines(self) -> Iterator[str]:
        yield f"# Soak: {self.title}\n"
        yield f"Ran for {self.seconds / 60:.1f} minutes.\n"
        yield f"- Result: {self._result()}"
        yield f"- Invariants (events times handlers): {self.verdict or 'not judged yet'}"
        yield f"- Events, as the producer saw them: {self.tally or 'still producing'}\n"
        yield from self._recoveries()
        yield ""
        yield from self._sizes()
        if self.failure:
            yield f"\n## Failure\n\n{self.failure}"
        if self.logs:
            yield f"\nThe logs of all processes: {self.logs}"
        yield ""

    def _result(self) -> str:
        if self.failure:
            return "FAILED"
        if self.verdict is None:
            return "under way"
        return (
            "every committed event had its effect once and in order"
            if self.verdict == Verdict()
            else "FAILED"
        )

    def _recoveries(self) -> Iterator[str]:
        yield "| fault | times | recovered after, median s | longest s |\n|---|---|---|---|"
        for name, seconds in sorted(self.recoveries.items()):
            yield f"| {name} | {len(seconds)} | {statistics.median(seconds):.2f} | {max(seconds):.2f} |"

    def _sizes(self) -> Iterator[str]:
        yield f"| {' | '.join(COLUMNS)} |"
        yield "|---" * len(COLUMNS) + "|"
        step = max(1, len(self.sizes) // 30)
        for each in [*self.sizes[:-1:step], *self.sizes[-1:]]:
            yield (
                f"| {each.seconds / 60:.1f} | {each.committed} | {each.pending} | {each.stream_entries}"
                f" | {each.failed} | {each.dead} | {each.outbox_bytes / MIB:.1f}"
                f" | {each.processed_bytes / MIB:.1f} | {each.valkey_bytes / MIB:.1f} |"
            )
