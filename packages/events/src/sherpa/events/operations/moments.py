"""Points in time as operators give them: in RFC 3339, or as how long ago by the database's clock."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

type Moment = datetime | timedelta
"""A time in UTC, or how long before now."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


def parse_moment(text: str) -> Moment:
    """Read a moment; raise ValueError for what is none, and for a time without Z or an offset."""
    if ago := _AGO.fullmatch(text):
        return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} names no offset from UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error


def resolve(moment: Moment, now: datetime) -> datetime:
    """Return the moment as a time; one before the year 1 is the year 1."""
    if isinstance(moment, datetime):
        return moment
    try:
        return now - moment
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def in_words(moment: datetime) -> str:
    """Write a time so that `parse_moment` reads the same again."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
