"""Many entries that can't be read are recorded together, in the order of the stream, and told in one line."""

from uuid import UUID, uuid4

import pytest

from packages.events.tests.handling.conftest import Stage, entry
from packages.events.tests.handling.test_left_behind import leave_behind
from packages.events.tests.handling.test_unreadable import HANDLES, NO_CONCURRENCY
from sherpa.events.handling.handler import Kind, OnFailure

NUMBER = "coalesce(substring(entry ->> 'payload' from '[0-9]+'), '')"


def unreadable(number: int, aggregate_id: UUID) -> dict[str, str]:
    """Return an entry whose payload breaks off after its number."""
    return entry(number, aggregate_id=aggregate_id, payload=f'{{"number": {number}')


def mixture(aggregate: UUID, other: UUID) -> list[dict[str, str]]:
    """Return entries of two aggregates among which 2 and 4 can't be read, nor can 20."""
    return [
        entry(1, aggregate_id=aggregate),
        unreadable(2, aggregate),
        entry(10, aggregate_id=other),
        entry(3, aggregate_id=aggregate),
        unreadable(4, aggregate),
        unreadable(20, other),
        entry(5, aggregate_id=aggregate),
    ]


async def mend(stage: Stage, number: int) -> None:
    """Let the entry be readable, and an operator try it again."""
    await stage.connection.execute(
        f"""UPDATE failed_events SET status = 'retrying', attempts = 0,
               entry = jsonb_set(entry, '{{payload}}', to_jsonb((entry ->> 'payload') || '}}'))
           WHERE status = 'dead' AND {NUMBER} = $1""",
        str(number),
    )
    await stage.be_due()


@pytest.mark.parametrize("at_once", [2, 500])
@pytest.mark.parametrize("kind", HANDLES)
async def test_mixed_batch_ends_in_order_under_block(
    stage: Stage, kind: Kind, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came before them is done, what came after them waits, and follows once they are mended."""
    monkeypatch.setattr("sherpa.events.handling.failures._MOST_PARKED", at_once)
    aggregate, other = uuid4(), uuid4()
    await stage.append(*mixture(aggregate, other))
    consumer = stage.consumer(kind=kind, handle=HANDLES[kind], concurrency=NO_CONCURRENCY)

    await stage.drain(consumer)

    assert ([1, 10], 0) == (sorted(await stage.effects()), await stage.pending())
    assert [
        ("2", "dead"),
        ("3", "waiting"),
        ("4", "dead"),
        ("20", "dead"),
        ("5", "waiting"),
    ] == await stage.failed(NUMBER, "status")
    assert 3 == stage.metrics.registry.get_sample_value(
        "sherpa_events_dead_lettered_total", {"handler": "counter"}
    )
    for number in (2, 4, 20):
        await mend(stage, number)
        await stage.drain(consumer)
    assert [1, 2, 3, 4, 5] == [number for number in await stage.effects() if number < 10]
    assert [10, 20] == [number for number in await stage.effects() if number >= 10]
    assert [] == await stage.failed("status")


@pytest.mark.parametrize("kind", HANDLES)
async def test_mixed_batch_goes_on_under_skip(stage: Stage, kind: Kind) -> None:
    """All that can be read is done, in its order, and the rest is dead."""
    aggregate, other = uuid4(), uuid4()
    await stage.append(*mixture(aggregate, other))

    await stage.drain(
        stage.consumer(kind=kind, handle=HANDLES[kind], on_failure=OnFailure.SKIP, concurrency=NO_CONCURRENCY)
    )

    assert [1, 3, 5] == [number for number in await stage.effects() if number < 10]
    assert [("2", "dead"), ("4", "dead"), ("20", "dead")] == await stage.failed(NUMBER, "status")
    assert 0 == await stage.pending()


@pytest.mark.parametrize(
    ("on_failure", "done", "kept"),
    [
        (
            OnFailure.BLOCK,
            [1],
            [("2", "dead", 0), ("3", "waiting", 1), ("4", "dead", 0), ("5", "waiting", 1)],
        ),
        (OnFailure.SKIP, [1, 3, 5], [("2", "dead", 0), ("4", "dead", 0)]),
    ],
)
async def test_those_that_a_dead_process_left_are_dead_at_once(
    stage: Stage, on_failure: OnFailure, done: list[int], kept: list[tuple[object, ...]]
) -> None:
    """What another process left pending is read before it is run: nobody can have died of the unreadable."""
    aggregate, other = uuid4(), uuid4()
    await leave_behind(
        stage, *(each for each in mixture(aggregate, other) if str(other) not in each.values())
    )

    await stage.drain(stage.consumer(on_failure=on_failure))

    assert (done, 0) == (await stage.effects(), await stage.pending())
    assert kept == await stage.failed(NUMBER, "status", "deaths")


async def test_flood_is_one_transaction_and_one_line(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is a dead letter with error and traceback, counted; the log has one line with the first reason."""
    await stage.append(*(unreadable(number, uuid4()) for number in range(50)))

    await stage.drain(stage.consumer())

    assert [(50, 1)] == [
        tuple(row)
        for row in await stage.connection.fetch(
            """SELECT count(*), count(DISTINCT xmin::text) FROM failed_events
               WHERE status = 'dead' AND attempts = 1 AND error LIKE '%UnreadableEventError: %truncated%'
                 AND traceback LIKE '%raise UnreadableEventError%' AND first_failed_at <= last_failed_at"""
        )
    ]
    assert 50 == stage.metrics.registry.get_sample_value(
        "sherpa_events_dead_lettered_total", {"handler": "counter"}
    )
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "given up" in line]
    assert "events=50" in line
    assert "truncated" in line


async def test_unreadable_entry_that_was_discarded_is_done_with(stage: Stage) -> None:
    """Published again, as by a replay, it is no dead letter once more, and nothing waits for it."""
    aggregate = uuid4()
    bad = unreadable(1, aggregate)
    await stage.append(bad)
    consumer = stage.consumer()
    await stage.drain(consumer)
    await stage.discard(bad["id"])
    await stage.append(bad, entry(2, aggregate_id=aggregate))

    await stage.drain(consumer)

    assert ([2], [], 0) == (await stage.effects(), await stage.failed("status"), await stage.pending())


async def test_only_new_dead_letters_are_told(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """An unreadable entry that is a dead letter already is acknowledged, and neither counted nor logged."""
    bad = unreadable(1, uuid4())
    await stage.append(bad)
    consumer = stage.consumer()
    await stage.drain(consumer)
    capsys.readouterr()
    await stage.append(bad)

    await stage.drain(consumer)

    assert ("", 0) == (capsys.readouterr().out, await stage.pending())
    assert 1 == stage.metrics.registry.get_sample_value(
        "sherpa_events_dead_lettered_total", {"handler": "counter"}
    )
