"""E-mails as files in a folder, for development: one `.eml` each, which any mail program opens."""

import asyncio
from contextlib import suppress
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import uuid4

from sherpa.membership.emails.email import Email
from sherpa.membership.errors import EmailUnavailableError

# Headers as people read them, and the line ends of other text files.
_READABLE = default.clone(utf8=True)


class FolderSender:
    """Writes each e-mail to `{folder}/{key}.eml`; names rise with time, since keys are UUIDv7.

    A file is there as a whole or not at all. A repeat takes the place of the first one, byte for byte.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, email: Email) -> None:
        """Write the file, and make the folder where it is missing; raises EmailUnavailableError."""
        try:
            await asyncio.to_thread(_write, self._folder, f"{email.key}.eml", _encode(email))
        except OSError as error:
            raise EmailUnavailableError(f"The e-mail could not be written: {error.strerror}.") from None


def _encode(email: Email) -> bytes:
    message = EmailMessage(policy=_READABLE)
    message["To"] = email.to
    message["Subject"] = email.subject
    message["Message-ID"] = f"<{email.key}@sherpa.invalid>"
    message.set_content(email.text)
    message.add_alternative(email.html, subtype="html")
    # By default it is drawn by lot, and a repeat would be another file.
    message.set_boundary(f"={email.key.hex}=")
    return message.as_bytes()


def _write(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{name}.{uuid4().hex}"
    try:
        draft.write_bytes(content)
        draft.replace(folder / name)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
