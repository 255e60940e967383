"""What a handler is called in PostgreSQL, by those who run it and by operators: its locks and its channel."""

from typing import Final

CHANNEL: Final = "sherpa_handlers"
"""Where the owners of handlers listen for operators' decisions; the text is the handler's name."""


def lock_name(handler: str, partition: int) -> str:
    """Return the name of the lock that the owner of a handler's partition holds."""
    return f"handler/{handler}/{partition}"
