"""What a consumer's step came to; how long to rest after it follows from that."""

from enum import Enum


class Outcome(Enum):
    """What a step has come to."""

    STANDBY = "another process owns the partition"
    TAKEN = "the partition is ours now"
    JOINED = "the broker has let us in"
    WORKED = "events were worked off"
    IDLE = "there was nothing to do"
    BROKER_AWAY = "the broker can't be reached; what is due in the database was done"
    DATABASE_AWAY = "PostgreSQL can't be reached, or has ended our sessions"
    REFUSED = "PostgreSQL refuses what the handler needs; it is tried again"
    FENCED = "the broker has lost the handler's group or role; it is made again"
    FAILED = "something unexpected went wrong; it is tried again"
