"""Who takes part in benchmarks/events.py: the floor, ours, and the rivals that are installed."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec

from events_contender import Contender

# Module, class, and what has to be installed for it.
KNOWN: Mapping[str, tuple[str, str, str]] = {
    "floor": ("events_floor", "Floor", "redis"),
    "ours": ("events_ours", "Ours", "sherpa.events"),
    "pgqueuer": ("events_pgqueuer", "Pgqueuer", "pgqueuer"),
    "procrastinate": ("events_procrastinate", "Procrastinate", "procrastinate"),
    "faststream": ("events_faststream", "FaststreamOutbox", "faststream_outbox"),
}


def absent() -> Mapping[str, str]:
    """Return the contenders that can't be measured here, with the reason."""
    return {
        key: f"no {needed}: run with --group bench"
        for key, (_, _, needed) in KNOWN.items()
        if not find_spec(needed)
    }


def choose(only: Sequence[str]) -> Mapping[str, Contender]:
    """Return those that are asked for (all where none is) and installed."""
    if unknown := [key for key in only if key not in KNOWN]:
        raise SystemExit(f"Nobody is called {', '.join(unknown)}: {', '.join(KNOWN)}.")
    return {key: find(key) for key in KNOWN if key not in absent() and (not only or key in only)}


def find(key: str) -> Contender:
    """Return a contender; its module, and so what it needs, is imported only now."""
    module, name, _ = KNOWN[key]
    contender: Contender = getattr(import_module(module), name)()
    return contender
