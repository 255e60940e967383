"""The one event of these stories. It carries its number within the aggregate and, for some, an evil deed."""

from typing import ClassVar

from sherpa.events.event import Payload


class Counted(Payload, frozen=True, kw_only=True):
    """The aggregate's event number `number`. `deed` is what its handler shall do instead of its work."""

    event_type: ClassVar[str] = "chaos.counted"
    aggregate_type: ClassVar[str] = "chaos"
    number: int
    deed: str = ""
