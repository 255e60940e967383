"""How benchmarks/events.py shows what it has measured: the table, and each goal with met or missed."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

FLOOR, OURS = "floor", "ours"
RELAY_RATE, FLOOR_SHARE, RIVAL_TIMES = 20_000, 0.75, 8
EACH_RATE, SET_RATE, LATENCY_MS, TWO_RELAYS_TIMES = 2_000, 15_000, 5.0, 1.4

PUBLISH_ONE, PUBLISH_MANY = "publish, 1 a transaction", "publish, 100 a transaction"
RELAY, TWO_RELAYS = "relay", "relay, 2 partitions, 2 processes"
EACH, BATCH, SET = "handle: each", "handle: batch", "handle: set"
P50, P99 = "{rate}/s: p50 ms", "{rate}/s: p99 ms"
LATENCY_RATES = (100, 500)
LATENCIES = tuple(row.format(rate=rate) for rate in LATENCY_RATES for row in (P50, P99))
RATES = (PUBLISH_ONE, PUBLISH_MANY, RELAY, TWO_RELAYS, EACH, BATCH, SET)
CORES = "{row}: busy cores"
BUSY = tuple(CORES.format(row=row) for row in (RELAY, TWO_RELAYS, EACH, BATCH, SET))


@dataclass
class Measured:
    """What each round has shown, by row and contender: events a second, milliseconds, or cores."""

    runs: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def note(self, row: str, contender: str, figure: float) -> None:
        """Add a round's figure."""
        self.runs.setdefault(row, {}).setdefault(contender, []).append(figure)

    def median(self, row: str, contender: str) -> float | None:
        """Return the median of the rounds, None where there are none."""
        runs = self.runs.get(row, {}).get(contender)
        return statistics.median(runs) if runs else None

    def ratio(self, row: str, contender: str, to: str) -> float | None:
        """Return one contender's median over another's."""
        mine, base = self.median(row, contender), self.median(row, to)
        return mine / base if mine is not None and base else None


def table(measured: Measured, names: Mapping[str, str]) -> Iterator[str]:
    """Yield the table's lines: the medians, and in brackets the ratio to the floor."""
    yield f"| events/s (of the floor) | {' | '.join(names.values())} |"
    yield "|---" * (len(names) + 1) + "|"
    for row in RATES:
        yield f"| {row} | {' | '.join(_cell(measured, row, key, '{:,.0f}') for key in names)} |"
    yield f"| **cores that were busy**{' |' * (len(names) + 1)}"
    for row in BUSY:
        cores = (measured.median(row, key) for key in names)
        yield f"| {row} | {' | '.join('-' if each is None else f'{each:.1f}' for each in cores)} |"
    yield f"| **COMMIT → appended**{' |' * (len(names) + 1)}"
    for row in LATENCIES:
        yield f"| {row} | {' | '.join(_cell(measured, row, key, '{:.1f}') for key in names)} |"


def goals(measured: Measured, rivals: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each goal with `met`, `MISSED` or `not measured`, and the figure."""
    relayed = measured.median(RELAY, OURS)
    yield f"relay at least {RELAY_RATE:,} events/s", _at_least(relayed, RELAY_RATE)
    share = measured.ratio(RELAY, OURS, FLOOR)
    yield f"relay at least {FLOOR_SHARE} of the redis-py floor", _at_least(share, FLOOR_SHARE)
    rates = [rate for rival in rivals if (rate := measured.median(RELAY, rival)) is not None]
    times = relayed / max(rates) if relayed is not None and rates else None
    yield f"relay at least {RIVAL_TIMES} x the nearest rival", _at_least(times, RIVAL_TIMES)
    yield f"each at least {EACH_RATE:,} events/s", _at_least(measured.median(EACH, OURS), EACH_RATE)
    yield f"set-based at least {SET_RATE:,} events/s", _at_least(measured.median(SET, OURS), SET_RATE)
    for rate in LATENCY_RATES:
        median = measured.median(P50.format(rate=rate), OURS)
        yield f"COMMIT → appended at {rate}/s: p50 at most {LATENCY_MS:.0f} ms", _at_most(median, LATENCY_MS)
    alone, both = measured.median(RELAY, OURS), measured.median(TWO_RELAYS, OURS)
    more = both / alone if alone and both is not None else None
    yield f"two relays at least {TWO_RELAYS_TIMES} x one", _at_least(more, TWO_RELAYS_TIMES)


def as_json(measured: Measured, rivals: Sequence[str], absent: Mapping[str, str]) -> Mapping[str, object]:
    """Return all rounds, the goals and who was absent as plain values."""
    return {"runs": measured.runs, "goals": dict(goals(measured, rivals)), "absent": absent}


def _cell(measured: Measured, row: str, key: str, form: str) -> str:
    median, ratio = measured.median(row, key), measured.ratio(row, key, FLOOR)
    if median is None:
        return "-"
    return form.format(median) + ("" if ratio is None or key == FLOOR else f" ({ratio:.2f})")


def _at_least(figure: float | None, limit: float) -> str:
    return _verdict(figure, is_met=figure is not None and figure >= limit)


def _at_most(figure: float | None, limit: float) -> str:
    return _verdict(figure, is_met=figure is not None and figure <= limit)


def _verdict(figure: float | None, *, is_met: bool) -> str:
    if figure is None:
        return "not measured"
    shown = f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"
    return f"{'met' if is_met else 'MISSED'} ({shown})"
