"""How benchmarks/migrations.py shows what it has measured: the table, and each goal with met or missed."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from migrations_tools import STEPS

OURS, BASE, NODE = "sherpa.db", "Piccolo", "node-pg-migrate"
QUICK_SHARE, MANY_SHARE, MOST_CONNECTIONS = 0.25, 0.35, 2


@dataclass
class Measured:
    """Milliseconds of each run, by (set of migrations, step) and tool; connections of each apply."""

    times: dict[tuple[str, str], dict[str, list[float]]] = field(default_factory=dict)
    connections: dict[str, dict[str, int]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def note(self, changes: str, step: str, tool: str, seconds: float) -> None:
        """Add a run."""
        self.times.setdefault((changes, step), {}).setdefault(tool, []).append(1000 * seconds)

    def median(self, changes: str, step: str, tool: str) -> float | None:
        """Return the median of a tool's runs in milliseconds, None where there are none."""
        runs = self.times.get((changes, step), {}).get(tool)
        return statistics.median(runs) if runs else None

    def ratio(self, changes: str, step: str, tool: str, to: str = BASE) -> float | None:
        """Return the tool's median over that of another."""
        mine, base = self.median(changes, step, tool), self.median(changes, step, to)
        return mine / base if mine is not None and base else None


def table(measured: Measured, tools: Sequence[str], sets: Sequence[str]) -> Iterator[str]:
    """Yield the table's lines: ms, and in brackets the ratio to Piccolo's command."""
    columns = [(changes, step) for changes in sets for step in STEPS]
    heads = [f"{changes}: {step}" for changes, step in columns]
    heads += [f"{changes}: connections" for changes in sets]
    yield f"| ms (of {BASE}) | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    for tool in tools:
        if reason := measured.absent.get(tool):
            yield f"| {tool} | not here: {reason} |" + " |" * (len(heads) - 1)
            continue
        cells = [_cell(measured, changes, step, tool) for changes, step in columns]
        cells += [str(measured.connections.get(changes, {}).get(tool, "-")) for changes in sets]
        yield f"| {tool} | {' | '.join(cells)} |"


def goals(measured: Measured, sets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each goal with `met`, `MISSED` or `not measured`, and the figure."""
    for changes in sets:
        for step in ("no-op", "status"):
            share = measured.ratio(changes, step, OURS)
            yield f"{changes}: {step} at most {QUICK_SHARE} of {BASE}'s", _verdict(share, QUICK_SHARE)
        share = measured.ratio(changes, "no-op", OURS, NODE)
        yield f"{changes}: no-op under {NODE}'s", _verdict(share, 1)
    many = sets[-1]
    yield (
        f"{many}: applied in at most {MANY_SHARE} of {BASE}'s time",
        _verdict(measured.ratio(many, "apply", OURS), MANY_SHARE),
    )
    for rival in ("Alembic", "Django"):
        yield f"{many}: applied ahead of {rival}", _verdict(measured.ratio(many, "apply", OURS, rival), 1)
    opened = measured.connections.get(many, {}).get(OURS)
    yield f"{many}: at most {MOST_CONNECTIONS} connections", _verdict(opened, MOST_CONNECTIONS)


def as_json(measured: Measured, sets: Sequence[str]) -> Mapping[str, object]:
    """Return all runs, in milliseconds, the connections and the goals as plain values."""
    runs: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (changes, step), by_tool in measured.times.items():
        runs.setdefault(changes, {})[step] = by_tool
    return {
        "milliseconds": runs,
        "connections": measured.connections,
        "absent": measured.absent,
        "goals": dict(goals(measured, sets)),
    }


def _cell(measured: Measured, changes: str, step: str, tool: str) -> str:
    median, ratio = measured.median(changes, step, tool), measured.ratio(changes, step, tool)
    if median is None:
        return "-"
    return f"{median:.0f}" if ratio is None else f"{median:.0f} ({ratio:.2f})"


def _verdict(figure: float | None, limit: float) -> str:
    if figure is None:
        return "not measured"
    return f"{'met' if figure <= limit else 'MISSED'} ({figure:.2f})"
