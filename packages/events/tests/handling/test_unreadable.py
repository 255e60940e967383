"""An entry that can't be read is a dead letter at once, and stops nobody else."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from packages.events.tests.handling.conftest import Stage, entry, record, record_set
from sherpa.events.handling.handler import Handler, Kind, OnFailure

HANDLES: dict[Kind, Callable[..., Awaitable[None]]] = {
    Kind.EACH: record,
    Kind.BATCH: record,
    Kind.SET: record_set,
}
NO_CONCURRENCY = Handler.__dataclass_fields__["concurrency"].default


@pytest.mark.parametrize("kind", HANDLES)
@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("payload", "{"),
        ("payload", '{"number": "seven"}'),
        ("payload", "\0"),
        ("payload", '{"number": 1, "text": "\\ud800"'),
        ("payload", "[" * 100_000),
        ("id", "seven"),
        ("occurred_at", ""),
        ("occurred_at", "yesterday"),
        ("schema_version", "99"),
        ("schema_version", "-1"),
        ("aggregate_type", "stranger"),
        ("aggregate_id", "seven"),
    ],
)
async def test_only_the_unreadable_is_parked(stage: Stage, kind: Kind, field: str, text: str) -> None:
    """In the middle of a batch, it is dead at once; the others have their effect, nothing stays pending."""
    bad = entry(5) | {field: text}
    await stage.append(entry(1), bad, entry(2))

    await stage.drain(stage.consumer(kind=kind, handle=HANDLES[kind], concurrency=NO_CONCURRENCY))

    assert ([1, 2], 0) == (sorted(await stage.effects()), await stage.pending())
    assert [("dead", 1)] == await stage.failed("status", "attempts")
    assert [(True,)] == await stage.failed("error LIKE '%UnreadableEventError: %'")


@pytest.mark.parametrize(
    "missing", ["id", "type", "aggregate_type", "aggregate_id", "occurred_at", "payload"]
)
async def test_entry_without_a_field_is_parked(stage: Stage, missing: str) -> None:
    """An entry that lacks what the contract asks for is kept as far as it goes."""
    bad = entry(5)
    del bad[missing]
    await stage.append(bad, entry(1))

    await stage.drain(stage.consumer())

    assert ([1], [("dead",)]) == (await stage.effects(), await stage.failed("status"))


async def test_the_same_unreadable_entry_is_kept_once(stage: Stage) -> None:
    """Delivered again, it is known by its id."""
    bad = entry(5, payload="{")
    await stage.append(bad, bad)

    await stage.drain(stage.consumer())

    assert [(UUID(bad["id"]),)] == await stage.failed("event_id")


@pytest.mark.parametrize(("on_failure", "expected"), [(OnFailure.BLOCK, [1]), (OnFailure.SKIP, [1, 2])])
async def test_later_events_do_as_declared(stage: Stage, on_failure: OnFailure, expected: list[int]) -> None:
    """What comes after it in its aggregate waits, or follows, as after any other failure."""
    aggregate = uuid4()
    await stage.append(
        entry(1, aggregate_id=aggregate),
        entry(5, aggregate_id=aggregate, payload="{"),
        entry(2, aggregate_id=aggregate),
    )

    await stage.drain(stage.consumer(on_failure=on_failure))

    assert expected == await stage.effects()


async def test_head_of_the_chain_is_what_failed_first(stage: Stage) -> None:
    """An event that fails before an unreadable one of its aggregate in the same batch stays before it."""
    aggregate = uuid4()
    await stage.connection.execute("ALTER TABLE effects ADD CONSTRAINT not_one CHECK (number <> 1)")
    await stage.append(
        entry(1, aggregate_id=aggregate),
        entry(5, aggregate_id=aggregate, payload="{"),
        entry(2, aggregate_id=aggregate),
    )
    consumer = stage.consumer(attempts=1)
    await stage.drain(consumer)
    await stage.connection.execute("ALTER TABLE effects DROP CONSTRAINT not_one")

    await stage.connection.execute(
        "UPDATE failed_events SET status = 'retrying' WHERE error NOT LIKE '%Unread%'"
    )
    await stage.be_due()
    await stage.drain(consumer)

    assert ([1], [("dead",), ("waiting",)]) == (await stage.effects(), await stage.failed("status"))


async def test_unreadable_retried_after_a_release_that_reads_it(stage: Stage) -> None:
    """Once its cause is mended, an operator's retry has the effect, and the chain goes on."""
    aggregate = uuid4()
    await stage.append(entry(5, aggregate_id=aggregate, schema_version="2"), entry(6, aggregate_id=aggregate))
    consumer = stage.consumer()
    await stage.drain(consumer)

    await stage.connection.execute(
        """UPDATE failed_events SET status = 'retrying', entry = jsonb_set(entry, '{schema_version}', '"1"')
           WHERE status = 'dead'"""
    )
    await stage.be_due()
    await stage.drain(consumer)

    assert ([5, 6], []) == (await stage.effects(), await stage.failed("status"))
