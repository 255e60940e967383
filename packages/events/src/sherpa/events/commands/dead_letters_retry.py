"""`dead-letters retry`: lets the handlers run dead letters again, with all their attempts."""

import argparse

from sherpa.events.commands.decisions import Decision, run_decision
from sherpa.events.operations.deadletters import retry

_RETRY = Decision("retry", "Run {meant} in {server} again?", "to be run again", retry)


def run(arguments: argparse.Namespace) -> int:
    """Ask, give them to the handlers, and say how many."""
    return run_decision(arguments, _RETRY)
