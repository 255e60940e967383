"""A first `up` that loses its ports to other clones, again and again, goes on with others."""

import io
from pathlib import Path

import pytest

from sherpa.devstack import bringup, envfile
from sherpa.devstack.bringup import Request, bring_up
from sherpa.devstack.errors import PortTakenError
from sherpa.devstack.progress import Progress
from sherpa.devstack.stack import Stack

EXAMPLE = Path(__file__).parents[3] / ".env.example"


class Losses:
    """Stands for the servers: someone else has the API's port, so many times."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.ports: list[int] = []

    def meet(self, stack: Stack, request: Request, progress: Progress) -> str:
        """Lose the port, or be done."""
        self.ports.append(stack.settings.server.port)
        self.left -= 1
        if self.left >= 0:
            raise PortTakenError("taken", variables={"PORT"}, remedy="stop it")
        return "up"


def test_losing_again_and_again_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several clones that meet leave each other's way: they don't all try the next number, and the next."""
    (tmp_path / ".env.example").write_text(EXAMPLE.read_text())
    monkeypatch.delenv("PORT", raising=False)
    losses = Losses(8)
    monkeypatch.setattr(bringup, "_converge", losses.meet)

    bring_up(tmp_path, Request(), Progress(io.StringIO()))

    assert 9 == len(set(losses.ports))
    assert losses.ports[-1] - losses.ports[0] > 8 + bringup.SCATTER // 2
    assert envfile.port_in(envfile.path_of(tmp_path).read_text(), "PORT") == losses.ports[-1]
