"""The thin layer over environs: each defect of environs 15.2 is first shown, then seen repaired."""

import pytest
from environs import Env, validate

from sherpa.config import InvalidValueError
from sherpa.config.kinds import Kind, boolean, integer, parsed, seconds, service_key
from sherpa.config.reader import Reader


def refuse(text: str) -> int:
    """Be a parser of ours that understands nothing."""
    raise InvalidValueError("is refused")


def explode(text: str) -> int:
    """Be a parser whose error quotes the value."""
    raise ValueError(f"can't read {text}")


def test_environs_never_checks_a_default() -> None:
    """The defect: a default of the wrong type and outside its range passes as it is."""
    assert -5 == Env(eager=False).int("NOWHERE", default=-5, validate=validate.Range(min=1))


def test_a_text_is_checked() -> None:
    """What stands for the default in the reader is a text like any other, so a bad one is found."""
    reader = Reader({"N": "-5"})

    assert reader.read(integer(1, 100), "N") is None
    assert {"N": "must be greater than or equal to 1 and less than or equal to 100"} == reader.problems()


def test_environs_stops_at_a_parsers_error() -> None:
    """The defect: a parser's ValueError ends the reading, deferred or not."""
    env = Env(eager=False)
    env.add_parser("explode", explode)

    with pytest.raises(ValueError, match="can't read"):
        env.explode("N", default="1")


def test_every_error_is_collected() -> None:
    """Whoever finds a fault, environs or a parser of ours, all of them are in the result."""
    reader = Reader({"A": "x", "B": "maybe", "C": "c", "D": "wonderland", "E": "1", "F": "nan"})
    kinds: dict[str, Kind[object]] = {
        "A": integer(0, 100),
        "B": boolean(),
        "C": parsed("", "", refuse),
        "D": parsed("", "", explode),
        "E": integer(0, 100),
        "F": seconds(),
    }

    values = {name: reader.read(kind, name) for name, kind in kinds.items()}

    assert dict.fromkeys("ABCDF") | {"E": 1} == values
    assert {
        "A": "not a valid integer",
        "B": "not a valid boolean",
        "C": "is refused",
        "D": "can't be understood",
        "F": "special numeric values (nan or infinity) are not permitted",
    } == reader.problems()


def test_only_the_given_texts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process environment is not looked at behind the back of who gave the texts."""
    monkeypatch.setenv("N", "1")
    reader = Reader({})

    assert reader.read(boolean(), "N") is None
    assert {"N": "environment variable not set"} == reader.problems()


def test_its_repr_shows_no_text() -> None:
    """The reader, a variable of some frame, shows nothing of what it reads."""
    reader = Reader({"N": "sk_wonderland"})
    reader.read(service_key("sk_"), "N")

    assert "wonderland" not in repr(reader)
