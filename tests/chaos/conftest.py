"""Worlds for the stories of chaos: each has a PostgreSQL and a Valkey of its own, to be hurt at will."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from rig.ledger import TABLES
from rig.servers import prepare
from rig.stand import OpenStand, opened

from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.session import Session


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    """Return PostgreSQL's data with the real migrations, which each story copies."""
    session = Session.new(place.choose())
    with session.join():
        yield asyncio.run(prepare(session, TABLES))
    leftovers.end(session)


@pytest.fixture
def open_stand(prepared: Path, tmp_path: Path) -> OpenStand:
    """Return the function that opens a world for one story."""
    return partial(opened, prepared, tmp_path)
