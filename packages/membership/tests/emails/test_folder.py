"""The folder holds whole e-mails and nothing else, and its errors name no path."""

from pathlib import Path

import pytest

from packages.membership.tests.emails.conftest import letter
from sherpa.membership.emails.folder import FolderSender
from sherpa.membership.errors import EmailUnavailableError


def contents(folder: Path) -> dict[str, bytes]:
    """Return the name and the bytes of whatever is in the folder; a folder in it has none."""
    return {path.name: path.read_bytes() if path.is_file() else b"" for path in folder.iterdir()}


async def test_repeat_is_the_same_file(tmp_path: Path) -> None:
    """The file of a repeat has the same name and the same bytes."""
    email = letter()
    await FolderSender(tmp_path).send(email)
    first = contents(tmp_path)

    await FolderSender(tmp_path).send(email)

    assert first == contents(tmp_path)
    assert [f"{email.key}.eml"] == list(first)


async def test_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    """What the system refuses is an error for later, without the path."""
    (tmp_path / "outgoing").write_text("")

    with pytest.raises(EmailUnavailableError, match="could not be written") as caught:
        await FolderSender(tmp_path / "outgoing").send(letter())

    assert str(tmp_path) not in str(caught.value)


async def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """Where the file can't take its place, no draft of it stays."""
    email = letter()
    (tmp_path / f"{email.key}.eml").mkdir()

    with pytest.raises(EmailUnavailableError):
        await FolderSender(tmp_path).send(email)

    assert [f"{email.key}.eml"] == list(contents(tmp_path))
