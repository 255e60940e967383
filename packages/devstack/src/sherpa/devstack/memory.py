"""What a checkout remembers of its stack: the backend that was chosen at its first `up`."""

import json
from pathlib import Path

from sherpa.devstack.backends.backend import BackendName
from sherpa.devstack.stack import state_directory


def recall(root: Path) -> BackendName | None:
    """The backend that holds this checkout's data; None when there is none or the note can't be read."""
    try:
        return BackendName(json.loads(_file(root).read_text())["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        # A note that was cut off is as good as none: `up` looks at what runs and decides anew.
        return None


def remember(root: Path, name: BackendName) -> None:
    """Note the backend; written whole or not at all."""
    if recall(root) is name:
        return
    state_directory(root)
    work = _file(root).with_suffix(".new")
    work.write_text(json.dumps({"backend": name.value}) + "\n")
    work.replace(_file(root))


def forget(root: Path) -> None:
    """Let the next `up` choose anew."""
    _file(root).unlink(missing_ok=True)


def _file(root: Path) -> Path:
    return root / ".sherpa" / "stack.json"
