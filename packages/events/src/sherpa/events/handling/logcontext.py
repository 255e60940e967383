"""Whatever a handler logs says for which event: its id and type, the handler, what it belongs to."""

from collections.abc import Sequence
from contextvars import Token
from typing import Any

from sherpa.events.event import Received
from sherpa.telemetry import context


def enter(handler: str, event: Received[Any]) -> Token[context.Fields]:
    """Bind the event's fields to every line until `leave` gets what this returns."""
    fields: dict[str, object] = {
        **context.current(),
        "handler": handler,
        "event_id": str(event.id),
        "event_type": event.payload.event_type,
    }
    if event.correlation_id is not None:
        fields["correlation_id"] = str(event.correlation_id)
    if event.traceparent is not None:
        fields["traceparent"] = event.traceparent
        if event.tracestate is not None:
            fields["tracestate"] = event.tracestate
    return context.enter(fields)


def enter_set(handler: str, events: Sequence[Received[Any]]) -> Token[context.Fields]:
    """Bind what many events have in common: the first and the last one, and how many they are."""
    return context.enter(
        {
            **context.current(),
            "handler": handler,
            "events": len(events),
            "first_event_id": str(events[0].id),
            "last_event_id": str(events[-1].id),
        }
    )


leave = context.leave
