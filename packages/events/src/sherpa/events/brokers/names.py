"""The keys that the broker has in Redis: a partition's are in one slot, so that one script may use them."""

from sherpa.config.sections.events import MOST_PARTITIONS

LAYOUT = "sherpa:events:partitions"
"""Into how many partitions what is in the streams was divided."""


def stream(partition: int) -> str:
    """Return the key of a partition's stream."""
    return f"sherpa:events:{partition}"


def fence(partition: int, role: str) -> str:
    """Return the key that holds the token of whoever has the role; its hash tag is the stream's name."""
    return f"{{{stream(partition)}}}:role:{role}"


def bookmark(partition: int) -> str:
    """Return the key that holds the newest append's bookmark, in the stream's slot."""
    return f"{{{stream(partition)}}}:bookmark"


POSSIBLE_STREAMS = tuple(map(stream, range(MOST_PARTITIONS)))
"""The streams that there may be, in the order of their partitions."""
