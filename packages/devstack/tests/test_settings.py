"""A checkout's settings are read to run it, and read as well as can be to stop it."""

from pathlib import Path

import pytest

from sherpa.config import ConfigError
from sherpa.devstack.appprocess import KILL_SECONDS, stop_seconds
from sherpa.devstack.errors import StackError
from sherpa.devstack.settings import read_stack, read_stack_to_stop
from sherpa.devstack.stack import Service, identity_of

SOUND = """\
DATABASE_URL=postgresql://sherpa:secret@127.0.0.1:5999/choice_sherpa
REDIS_URL=redis://127.0.0.1:6999/0
SHUTDOWN_DRAIN_SECONDS=0
SHUTDOWN_GRACE_SECONDS=60
"""


def test_nothing_is_read_before_the_first_up(tmp_path: Path) -> None:
    """Without an `.env` there is no stack, and the error names the command that makes one."""
    with pytest.raises(StackError, match="inv up"):
        read_stack(tmp_path)


def test_running_takes_sound_settings(tmp_path: Path) -> None:
    """A broken `.env` is refused."""
    (tmp_path / ".env").write_text("DATABASE_URL=nonsense\n")

    with pytest.raises(ConfigError, match="DATABASE_URL"):
        read_stack(tmp_path)


def test_stopping_heeds_the_settings(tmp_path: Path) -> None:
    """The API may finish its requests for as long as `.env` says."""
    (tmp_path / ".env").write_text(SOUND)

    assert 60 + KILL_SECONDS == stop_seconds(read_stack_to_stop(tmp_path), Service.API)


@pytest.mark.parametrize("settings", [None, "", "DATABASE_URL=nonsense\n", "PORT=-1\nnonsense\n"])
def test_stopping_needs_no_settings(tmp_path: Path, settings: str | None) -> None:
    """Without any, or with broken ones, it is still known what is to be stopped."""
    if settings is not None:
        (tmp_path / ".env").write_text(settings)

    assert identity_of(tmp_path) == read_stack_to_stop(tmp_path).identity
