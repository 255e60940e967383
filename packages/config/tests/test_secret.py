"""Secrets and URLs with passwords: nothing but `reveal` gives them away."""

import copy
import json
import logging
import pickle
import pprint
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass

import pytest

from sherpa.config import DatabaseSettings, Secret, ServiceUrl

HIDDEN = "wonderland"
SECRET = Secret(HIDDEN)
URL = ServiceUrl.parse(f"postgresql://alice:{HIDDEN}@db/choice")
SETTINGS = DatabaseSettings(url=URL)


@dataclass(frozen=True)
class Holder:
    """Settings of a process, with a secret of their own."""

    secret: Secret
    database: DatabaseSettings


HOLDER = Holder(SECRET, SETTINGS)

VIEWS: dict[str, Callable[[object], str]] = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "format": lambda value: f"{value}",
    "format, repr": lambda value: f"{value!r:>50}",
    "in a container": lambda value: f"{[value]} { {'key': value} }",
    "pprint": pprint.pformat,
    "json with default=str": lambda value: json.dumps(value, default=str),
    "copy": lambda value: repr(copy.copy(value)),
    "deepcopy": lambda value: repr(copy.deepcopy(value)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("value", [SECRET, URL, SETTINGS, HOLDER], ids=["secret", "url", "section", "holder"])
def test_no_view_shows_it(value: object, view: Callable[[object], str]) -> None:
    """Whichever way a value is made into text, the secret is masked."""
    text = view(value)

    assert HIDDEN not in text
    assert "***" in text


@pytest.mark.parametrize("take_apart", [asdict, astuple])
def test_dataclass_tools_keep_it_masked(take_apart: Callable[[object], object]) -> None:
    """`dataclasses.asdict` and `astuple` leave the secret whole and masked."""
    shown = repr(take_apart(HOLDER))

    assert HIDDEN not in shown
    assert shown.count("***") == 2


@pytest.mark.parametrize("value", [SECRET, URL, asdict(HOLDER)], ids=["secret", "url", "asdict"])
def test_json_refuses_it(value: object) -> None:
    """`json.dumps` raises rather than write a secret."""
    with pytest.raises(TypeError, match="not JSON serializable") as caught:
        json.dumps(value)

    assert HIDDEN not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [SECRET, URL, HOLDER], ids=["secret", "url", "holder"])
def test_pickle_refuses_it(value: object, protocol: int) -> None:
    """No pickle protocol takes a secret along."""
    with pytest.raises(TypeError, match="never pickled") as caught:
        pickle.dumps(value, protocol)

    assert HIDDEN not in str(caught.value)


def test_log_lines_mask_it(caplog: pytest.LogCaptureFixture) -> None:
    """A secret given to a logger is masked in the message."""
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("connecting to %s with %r and %s", URL, SECRET, HOLDER)

    assert HIDDEN not in caplog.text


def test_format_spec_applies_to_the_mask() -> None:
    """Padding works on the mask, so that it doesn't tell the secret's length."""
    assert "   ***" == f"{SECRET:>6}"


def test_reveal_gives_it_away() -> None:
    """Asked by name, a secret and a URL give everything."""
    assert (HIDDEN, f"postgresql://alice:{HIDDEN}@db:5432/choice") == (SECRET.reveal(), URL.reveal())


def test_equal_texts_are_equal() -> None:
    """Secrets compare and hash by their text, whatever characters it has."""
    assert Secret("pä\udc80ss") == Secret("pä\udc80ss")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_secret_differs_from_its_text() -> None:
    """A plain text is never equal to a secret, so nobody can probe one by accident."""
    assert Secret("a") != "a"
    assert Secret("a") != Secret("b")


def test_an_empty_secret_is_falsy() -> None:
    """`if secret` asks whether there is one."""
    assert [False, True] == [bool(Secret("")), bool(SECRET)]


@pytest.mark.parametrize(("value", "name"), [(SECRET, "_text"), (URL, "password")], ids=["secret", "url"])
def test_it_cannot_be_changed(value: object, name: str) -> None:
    """Neither setting nor deleting an attribute works, and there is no `__dict__` to look into."""
    with pytest.raises(AttributeError, match="can't be changed"):
        setattr(value, name, "other")
    with pytest.raises(AttributeError, match="can't be changed"):
        delattr(value, name)

    assert not hasattr(value, "__dict__")
