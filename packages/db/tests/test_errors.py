"""The package's errors: one root, and a message that stands by itself."""

import pytest

from sherpa.db.errors import ConstraintError, DatabaseError

# The migrations' errors take facts, and have tests of their own.
MODULES = {"sherpa.db.errors", "sherpa.db.constraints"}


def all_below(error: type[DatabaseError]) -> list[type[DatabaseError]]:
    """Return the error's subclasses, all the way down."""
    return [below for child in error.__subclasses__() for below in (child, *all_below(child))]


@pytest.mark.parametrize(
    "error", [error for error in all_below(DatabaseError) if error.__module__ in MODULES]
)
def test_docstring_is_default_message(error: type[DatabaseError]) -> None:
    """Raised without a message, an error says the first sentence of its docstring."""
    assert str(error()) == (error.__doc__ or "").strip().split("\n")[0]


def test_message_can_be_given() -> None:
    """A message given stands in place of the docstring."""
    assert "Look here." == str(DatabaseError("Look here."))


def test_constraint_error_names_the_place() -> None:
    """A broken rule is named as far as it is known."""
    error = ConstraintError(constraint="a_check", table="a")

    assert "A row breaks a rule of the schema. (constraint a_check, table a)" == str(error)
