"""What a step of the relay came to; how long to rest after it follows from that."""

from enum import Enum, auto


class Outcome(Enum):
    """A step's outcome."""

    STANDBY = auto()  # another process leads the partition
    OTHER_LAYOUT = auto()  # relays with another number of partitions are at work
    UNDRAINED = auto()  # the streams hold events that were divided otherwise, and are not handled yet
    LEADING = auto()  # the lead has just been taken
    MOVED = auto()  # there may be more at once
    CAUGHT_UP = auto()  # the last event there was is appended
    IDLE = auto()  # nothing was there
    PAUSED = auto()  # the broker has no room
    FENCED = auto()  # somebody took the role, or the broker has lost it
    BROKER_AWAY = auto()
    DATABASE_AWAY = auto()
