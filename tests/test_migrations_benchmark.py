"""The benchmark of migrations runs: every step of the tools at hand, counted and timed, on a real server."""

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
pytestmark = pytest.mark.xdist_group("benchmark of migrations")
ROOT = Path(__file__).parents[1]
COUNT = 3
STEPS = {"apply", "no-op", "status", "revert"}


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """Run the benchmark with the floor, Piccolo and ours: what a development environment has."""
    # Not below pytest's own folder, which root's servers, run by somebody else, may not enter.
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        ended = subprocess.run(
            [
                *(sys.executable, ROOT / "benchmarks" / "migrations.py", "--json", "--quick"),
                *("--rounds", "1", "--many", str(COUNT), "--only", "psql", "sherpa", "piccolo", "yoyo"),
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


def test_each_step_is_timed(measured: dict[str, Any]) -> None:
    """Ours and Piccolo go through all steps, with the seed's migrations and with small ones."""
    timed = {
        changes: {step: {"sherpa.db", "Piccolo"} <= runs.keys() for step, runs in steps.items()}
        for changes, steps in measured["milliseconds"].items()
    }

    assert dict.fromkeys(("seed", str(COUNT)), dict.fromkeys(STEPS, True)) == timed


def test_connections_are_counted_by_the_server(measured: dict[str, Any]) -> None:
    """However many are pending, ours takes one connection (a second one where a lock is waited for)."""
    opened = [measured["connections"][changes]["sherpa.db"] for changes in ("seed", str(COUNT))]

    assert all(1 <= count <= 2 for count in opened)
    assert measured["connections"][str(COUNT)]["Piccolo"] > 2 * COUNT


def test_a_tool_that_is_not_there_says_so(measured: dict[str, Any]) -> None:
    """Without the group `bench` a rival's row gives the reason, and the others are measured."""
    expected = {} if find_spec("yoyo") else {"yoyo": "no yoyo: run with --group bench"}

    assert expected == measured["absent"]


def test_goals_are_told_apart(measured: dict[str, Any]) -> None:
    """A goal against a tool that was not asked for is not measured; the others are met or missed."""
    verdicts = {goal: verdict.partition(" (")[0] for goal, verdict in measured["goals"].items()}

    assert "not measured" == verdicts["seed: no-op under node-pg-migrate's"]
    assert "met" == verdicts[f"{COUNT}: at most 2 connections"]
    assert verdicts["seed: status at most 0.25 of Piccolo's"] in {"met", "MISSED"}
