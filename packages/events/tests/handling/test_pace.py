"""How long a loop rests, and what it says of it."""

import pytest

from sherpa.events.handling.pace import Pace


def test_reason_without_words_is_named(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """An error that says nothing, as a timeout, is named by its type."""
    Pace({}).seconds("the server is away", TimeoutError(), is_expected=True)

    assert "TimeoutError()" in capsys.readouterr().out + caplog.text
