"""The backend of a checkout is remembered, and a broken note is as good as none."""

from pathlib import Path

import pytest

from sherpa.devstack import memory
from sherpa.devstack.backends.backend import BackendName


def test_remembers_until_told_to_forget(tmp_path: Path) -> None:
    """What was remembered is recalled, replaced by the next, and gone once forgotten."""
    memory.remember(tmp_path, BackendName.DOCKER)
    memory.remember(tmp_path, BackendName.EMBEDDED)
    before = memory.recall(tmp_path)
    memory.forget(tmp_path)

    assert (before, memory.recall(tmp_path)) == (BackendName.EMBEDDED, None)


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"backend": "podman"}', '{"backend": null}', "\x00"])
def test_broken_note_is_none(tmp_path: Path, note: str) -> None:
    """A note that was cut off or altered is not believed and not in the way."""
    memory.remember(tmp_path, BackendName.DOCKER)
    (tmp_path / ".sherpa" / "stack.json").write_text(note)

    assert memory.recall(tmp_path) is None


def test_state_is_private(tmp_path: Path) -> None:
    """Nobody else can look into the checkout's state."""
    memory.remember(tmp_path, BackendName.DOCKER)

    assert (tmp_path / ".sherpa").stat().st_mode & 0o077 == 0
