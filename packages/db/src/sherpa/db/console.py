"""What the commands write for people, and what they ask them; a reader who has left stops no work."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Final, assert_never

from sherpa.db.migrations.events import (
    Blocked,
    Event,
    Notice,
    Progress,
    Retrying,
    ServerAway,
    Step,
    Waited,
    Waiting,
)
from sherpa.db.progressbar import ProgressBar, columns_of, in_words

_bar: Final = ProgressBar()


def say(text: str) -> None:
    """Write a line to stdout; raise OSError when it is lost, but not when nobody reads any more."""
    _write(f"{_bar.end()}{text}\n")


def _write(text: str) -> None:
    if sys.stdout is None or not text:  # started with `>&-`
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python itself would fail at the end, when it writes what it still has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # `... | head` misses the rest, but the work goes on
            raise


def complain(fault: object) -> None:
    """Write a fault to stderr."""
    _write(_bar.end())
    sys.stderr.write(f"{fault}\n")


def can_ask() -> bool:
    """Tell whether somebody at a terminal can answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def is_confirmed(question: str) -> bool:
    """Ask at the terminal; only a yes is one."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def report(event: Event) -> None:
    """Write a line on what a runner tells while it works."""
    if isinstance(event, Progress):
        _write(_bar.update(event, time.monotonic(), columns_of(sys.stdout)))
    else:
        say(describe(event))


def describe(event: Event) -> str:
    """Return what a runner tells, in a line of words."""
    match event:
        case Step(migration_id, direction, seconds):
            verb = "applied" if direction == "forwards" else "reverted"
            text = f"{migration_id:<32} {verb:<8} {seconds * 1000:8.1f} ms"
        case Waiting(holder):
            text = f"Waiting: another runner is migrating this database ({holder})."
        case Waited(seconds):
            text = f"Waited {seconds:.1f} s for it."
        case Notice(text):
            text = f"  notice: {text}"
        case Blocked(migration_id):
            text = f"Blocked: {migration_id} waits for {event}."
        case Retrying(migration_id, attempt, attempts, seconds):
            again = f"attempt {attempt + 1} of {attempts} in {seconds:.1f} s"
            text = f"  {migration_id} did not get its lock in time and lets others pass: {again}."
        case ServerAway(reason):
            text = f"Waiting for the server: {reason}"
        case Progress():
            text = f"  {in_words(event)}"
        case _:
            assert_never(event)
    return text


def count(what: Sequence[object], done: str) -> str:
    """Say how many migrations were done so; nothing when there is none."""
    plural = "" if len(what) == 1 else "s"
    return f"{len(what)} migration{plural} {done}" if what else ""
