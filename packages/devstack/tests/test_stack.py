"""Each checkout has an identity of its own."""

from pathlib import Path

import pytest

from sherpa.devstack.stack import identity_of, is_identity


def test_follows_the_path(tmp_path: Path) -> None:
    """The same path has the same identity, however it is written; another path has another."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")

    assert (
        identity_of(tmp_path / "a") == identity_of(tmp_path / "b") == identity_of(tmp_path / "a" / ".." / "a")
    )
    assert identity_of(tmp_path) != identity_of(tmp_path / "a")


def test_recognises_its_kind(tmp_path: Path) -> None:
    """An identity is told from the names that other servers have."""
    assert is_identity(identity_of(tmp_path))


@pytest.mark.parametrize(
    "name", ["", "16/main", "choice-sherpa", "choice-sherpa-", "choice-sherpa-zzzzzzzzzz", "main"]
)
def test_other_names_are_none(name: str) -> None:
    """What other servers call themselves is no identity."""
    assert not is_identity(name)
