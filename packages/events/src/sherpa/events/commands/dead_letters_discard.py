"""`dead-letters discard`: gives dead letters up; for their handlers they count as handled."""

import argparse

from sherpa.events.commands.decisions import Decision, run_decision
from sherpa.events.operations.deadletters import discard

_DISCARD = Decision(
    "discard", "Give up {meant} in {server}? No replay brings them back.", "discarded", discard
)


def run(arguments: argparse.Namespace) -> int:
    """Ask, discard them, and say how many."""
    return run_decision(arguments, _DISCARD)
