"""Places and ports for servers of a test's own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sherpa.devstack import ports


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory that the servers' user can reach: pytest's own are closed to all but their owner."""
    directory = Path(tempfile.mkdtemp(prefix="devstack test "))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def port() -> int:
    """A port that is free."""
    return ports.any_free()
