"""What a command of the local stack tells while migrations run."""

import io

import pytest

from sherpa.db.migrations import events
from sherpa.db.progressbar import ProgressBar
from sherpa.devstack import schema
from sherpa.devstack.progress import Progress


def test_data_migration_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data migration that takes long has a line every five seconds, a short one none."""
    out = io.StringIO()
    progress, bar = Progress(out), ProgressBar()
    event = events.Progress("007_fill_nickname", 250_000, 1_000_000, 5_000)

    for now in (0.0, 4.9, 5.1, 5.2):
        monkeypatch.setattr("sherpa.devstack.schema.time.monotonic", lambda now=now: now)
        schema._tell(event, progress, bar)

    assert (
        "     ·  007_fill_nickname: 250,000 of about 1,000,000 rows (25 %), 5,000 rows/s, 2:30 left\n"
        == out.getvalue()
    )


def test_who_is_in_the_way_is_told() -> None:
    """When a migration waits for a lock, the line says whose."""
    out = io.StringIO()
    blocker = events.Blocker(7, "local", "psql", "ada", "idle in transaction", None)

    schema._tell(events.Blocked("003_a", "rows of t", (blocker,)), Progress(out), ProgressBar())

    assert "003_a waits for rows of t, held by pid 7, host local, application psql" in out.getvalue()
