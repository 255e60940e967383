"""What is wrong with a set of handlers: said at the start, all at once, before any event is touched."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from sherpa.events.handling.backoff import longest_retries
from sherpa.events.handling.errors import InvalidHandlersError
from sherpa.events.handling.handler import DEFAULT_CONCURRENCY, Handler, Kind

NAME_LENGTH = 100
MOST_ATTEMPTS = 100
MOST_EVENTS_AT_ONCE = 10_000
MOST_LANES = 32
LONGEST_TIMEOUT_SECONDS = 3600.0


def check_handlers(handlers: Sequence[Handler], *, dedupe_retention: timedelta | None = None) -> None:
    """Raise InvalidHandlersError that names every fault; `dedupe_retention` must outlast the longest retries.

    While an event is tried again, and for as long as it could be published again, what its handler has done
    must be remembered: pass the retention less the replay window.
    """
    faults = [*_name_faults(handlers)]
    for handler in handlers:
        faults += [f"{handler.name!r}: {fault}" for fault in _faults(handler, dedupe_retention)]
    if faults:
        raise InvalidHandlersError("These handlers can't run: " + " ".join(faults))


def _name_faults(handlers: Iterable[Handler]) -> Iterator[str]:
    for name, times in Counter(handler.name for handler in handlers).items():
        if times > 1:
            yield (
                f"{name!r} is the name of {times} handlers: give each its own,"
                " for the name is how an event is known to be done."
            )


def _faults(handler: Handler, dedupe_retention: timedelta | None) -> Iterator[str]:
    yield from _declaration_faults(handler)
    out_of_range = list(_range_faults(handler))
    yield from out_of_range
    if out_of_range or dedupe_retention is None:
        return
    retries = longest_retries(handler)
    if retries >= dedupe_retention:
        yield (
            f"its retries may go on for {retries}, and what is done is remembered for {dedupe_retention}"
            " beyond a replay: declare fewer attempts, or raise EVENTS_DEDUPE_RETENTION_DAYS."
        )


def _declaration_faults(handler: Handler) -> Iterator[str]:
    name = handler.name
    if not name or len(name) > NAME_LENGTH or not name.isprintable() or name != name.strip():
        yield f"its name must be 1 to {NAME_LENGTH} printable letters without blanks around them."
    if not handler.takes:
        yield "it takes no event: name the payload classes in takes."
    for payload in handler.takes:
        event_type = getattr(payload, "event_type", "")
        if not 0 < len(event_type) <= NAME_LENGTH:
            name = payload.__name__
            yield f"{name}.event_type is {event_type!r}: it must be 1 to {NAME_LENGTH} characters."
            return
    versions = Counter((payload.event_type, payload.schema_version) for payload in handler.takes)
    for (event_type, version), times in versions.items():
        if times > 1:
            yield f"it takes version {version} of {event_type!r} as {times} classes: name one of them."
    if handler.kind is not Kind.EACH and handler.concurrency != DEFAULT_CONCURRENCY:
        yield "concurrency is for Kind.EACH: leave it out, a batch is one transaction."


def _range_faults(handler: Handler) -> Iterator[str]:
    ranges = (
        ("attempts", handler.attempts, 1, MOST_ATTEMPTS),
        ("batch_size", handler.batch_size, 1, MOST_EVENTS_AT_ONCE),
        ("concurrency", handler.concurrency, 1, MOST_LANES),
        ("timeout_seconds", handler.timeout_seconds, 0.001, LONGEST_TIMEOUT_SECONDS),
        ("backoff.first_seconds", handler.backoff.first_seconds, 0.0, 86_400.0),
        ("backoff.factor", handler.backoff.factor, 1.0, 100.0),
        ("backoff.most_seconds", handler.backoff.most_seconds, 0.0, 86_400.0),
    )
    for field, value, low, high in ranges:
        if not low <= value <= high:
            yield f"{field} is {value}: it must be {low} to {high}."
