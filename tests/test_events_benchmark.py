"""The benchmark of events runs: every row of ours, on real servers, with little to do."""

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

# One worker runs them all, and so the benchmark once.
pytestmark = pytest.mark.xdist_group("benchmark of events")
ROOT = Path(__file__).parents[1]
WORK = {"relay", "relay, 2 partitions, 2 processes", "handle: each", "handle: batch", "handle: set"}
ROWS = {
    "publish, 1 a transaction",
    "publish, 100 a transaction",
    *WORK,
    *(f"{row}: busy cores" for row in WORK),
    *(f"{rate}/s: {share} ms" for rate in (100, 500) for share in ("p50", "p99")),
}
RIVALS = {
    "pgqueuer": "pgqueuer",
    "procrastinate": "procrastinate",
    "faststream": "faststream_outbox",
}


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """Run the benchmark with ours alone, which takes half the time."""
    # Not below pytest's own folder, which root's servers, run by somebody else, may not enter.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        ended = subprocess.run(
            [
                *(sys.executable, ROOT / "benchmarks" / "events.py", "--json", "--rounds", "1"),
                *("--share", "0.02", "--only", "ours"),
            ],
            env={**os.environ, "TMPDIR": place},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        left = list(Path(place).iterdir())
    assert (0, []) == (ended.returncode, left), ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


def test_each_row_is_measured(measured: dict[str, Any]) -> None:
    """Ours goes through all rows, and each has a figure."""
    assert measured["runs"].keys() == ROWS
    assert all(min(figures) > 0 for runs in measured["runs"].values() for figures in runs.values())


def test_rivals_that_are_not_there_say_so(measured: dict[str, Any]) -> None:
    """Without the group `bench` a rival's line gives the reason."""
    missing = {key for key, module in RIVALS.items() if not find_spec(module)}

    assert dict.fromkeys(missing, "run with --group bench") == {
        key: reason.partition(": ")[2] for key, reason in measured["absent"].items()
    }


def test_goals_of_events_are_told_apart(measured: dict[str, Any]) -> None:
    """A goal against who was not asked for is not measured; the others are met or missed."""
    verdicts = {goal: verdict.partition(" (")[0] for goal, verdict in measured["goals"].items()}

    assert "not measured" == verdicts.pop("relay at least 8 x the nearest rival")
    assert "not measured" == verdicts.pop("relay at least 0.75 of the redis-py floor")
    assert set(verdicts.values()) <= {"met", "MISSED"}
