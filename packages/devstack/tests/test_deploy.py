"""`inv image` and `inv deploy` where there is no Docker: what to do, and exit code 1."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sherpa.devstack.deploy import deploy, image


@pytest.mark.parametrize("command", [image, deploy])
def test_without_docker_it_says_what_to_do(
    command: Callable[[Path], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The missing program is named with where to get it; nothing is written to the checkout."""
    monkeypatch.setenv("PATH", str(tmp_path))

    code = command(tmp_path)

    said = capsys.readouterr()
    assert (1, "") == (code, said.out)
    assert "Docker is not installed" in said.err
    assert "docs.docker.com" in said.err
    assert [] == list(tmp_path.iterdir())
