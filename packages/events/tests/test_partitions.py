"""Every aggregate has one partition, whoever asks, and the partitions share the aggregates evenly."""

import asyncpg
import pytest

from sherpa.events.partitions import partition_of


async def test_partition_of_an_id_never_changes(connection: asyncpg.Connection) -> None:
    """The number is part of what is kept in the streams: another one would tear aggregates apart."""
    ids = [f"00000000-0000-7000-8000-{number:012}" for number in range(8)]

    found = await connection.fetch(
        f"SELECT {partition_of('id::uuid', '16')} FROM unnest($1::text[]) AS id", ids
    )

    assert [11, 15, 7, 0, 11, 5, 2, 4] == [row[0] for row in found]


@pytest.mark.parametrize("partitions", [1, 2, 3, 16, 256])
async def test_partitions_are_even(connection: asyncpg.Connection, partitions: int) -> None:
    """A thousand aggregates for each partition are 800 to 1200 in each, and none is outside."""
    rows = await connection.fetch(
        f"SELECT {partition_of('md5(n::text)::uuid', '$1')}, count(*)"
        " FROM generate_series(1, $1 * 1000) AS n GROUP BY 1 ORDER BY 1",
        partitions,
    )

    assert list(range(partitions)) == [row[0] for row in rows]
    assert all(800 <= row[1] <= 1200 for row in rows)
