"""Servers run as a user that may run them, from places that this user can reach."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sherpa.devstack.embedded.account import ROOT_PLACE, Account, current_account
from sherpa.devstack.errors import UnusableAccountError

OWN = Account("me", None, Path("/nowhere"))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The account is found out anew, before and after."""
    current_account.cache_clear()
    yield
    current_account.cache_clear()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_nobody() -> None:
    """Root runs the servers as nobody, from a place outside any home."""
    found = current_account()

    assert found.name == "nobody"
    assert found.switch
    assert found.data_place(Path("/anywhere/checkout"), "name") == ROOT_PLACE / "name"


def test_ordinary_user_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An ordinary user runs them as itself, from the checkout, with the programs in its cache."""
    monkeypatch.setattr("os.geteuid", lambda: 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    found = current_account()

    assert found.switch is None
    assert found.data_place(Path("/home/me/checkout"), "name") == Path("/home/me/checkout/.sherpa")
    assert "choice-sherpa" in found.binaries.parts


def test_user_without_entry_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A uid that is in no passwd file, as in many containers, is told with the line that adds it."""
    monkeypatch.setattr("os.getuid", lambda: 54321)
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    with pytest.raises(UnusableAccountError, match=r"54321:54321(.|\n)*>> /etc/passwd"):
        current_account()


def test_private_directory_is_private(place: Path) -> None:
    """A directory for a server is closed to all others, and what leads there isn't made wider."""
    made = OWN.make_private(place / "a" / "b")

    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_closed_parent_is_named(place: Path) -> None:
    """A place below a folder that shuts the servers' user out is refused, and the folder is named."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(UnusableAccountError, match=f"can't enter {closed}"):
        current_account().make_private(closed / "data")


def test_unusable_place_is_named(place: Path) -> None:
    """A place that can't be made is named."""
    (place / "file").write_text("")

    with pytest.raises(UnusableAccountError, match="can't be made for user me"):
        OWN.make_private(place / "file" / "data")
