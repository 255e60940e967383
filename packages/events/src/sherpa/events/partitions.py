"""Which partition an aggregate belongs to, as SQL: said once, so that nobody can mean another one.

PostgreSQL's own hash of the aggregate's id, without the sign, modulo the number of partitions. It is never
computed in Python: an aggregate's events would be torn apart where the two differ.
"""


def partition_of(aggregate_id: str, partitions: str) -> str:
    """Return the SQL expression of a partition's number, from those of a uuid and of the partitions' count.

    `partition_of("aggregate_id", "$2")`. Both must be our own SQL, never what somebody sent.
    """
    return f"((uuid_hash({aggregate_id})::bigint & 2147483647) % {partitions})"
