"""What the servers say about their memory and persistence: how full they are, and what could be lost."""

from collections.abc import Iterator
from typing import Any

from redis.exceptions import NoPermissionError, ResponseError

from sherpa.events.brokers.link import Link

type Facts = dict[str, Any]

_UNKNOWN = "It could not be checked whether events survive in the broker: the user of REDIS_URL may not run"


async def memory_share(link: Link) -> float | None:
    """Return the used share of `maxmemory`, of the fullest server; None where none has a limit."""
    shares = [
        _counted(facts) / facts["maxmemory"]
        for facts in await link.each_server("INFO", "memory")
        if facts["maxmemory"]
    ]
    return max(shares, default=None)


def _counted(facts: Facts) -> int:
    # Replicas' and the file's buffers are in the sum, but the server doesn't count them against the limit.
    return int(facts["used_memory"]) - int(facts.get("mem_not_counted_for_evict", 0))


async def weaknesses(link: Link) -> list[str]:
    """Return why what the servers have confirmed could be lost, each once."""
    try:
        found = [
            weakness
            for facts in await link.each_server("INFO", "everything")
            for weakness in (*_evicting(facts), *_without_log(facts))
        ]
    except NoPermissionError:
        return [f"{_UNKNOWN} INFO. Allow +info, or see to maxmemory-policy noeviction and appendonly yes."]
    return list(dict.fromkeys([*found, *await _not_synced(link)]))


def _evicting(facts: Facts) -> Iterator[str]:
    policy = facts["maxmemory_policy"]
    if policy != "noeviction":
        yield (
            f"maxmemory-policy is {policy}: a server without room deletes what it has confirmed, and says"
            " nothing. Set maxmemory-policy noeviction."
        )


def _without_log(facts: Facts) -> Iterator[str]:
    if not facts["aof_enabled"]:
        yield (
            "appendonly is no: what came after the last snapshot, if any, is lost when the server ends."
            " Set appendonly yes."
        )


async def _not_synced(link: Link) -> list[str]:
    """INFO doesn't tell how often the log is brought to the disk, and managed servers forbid CONFIG."""
    try:
        replies = await link.each_server("CONFIG", "GET", "appendfsync")
    except ResponseError:
        return [f"{_UNKNOWN} CONFIG GET. Allow +config|get, or see to appendfsync everysec or always."]
    if any("no" in reply for reply in replies):
        return ["appendfsync is no: seconds of events are lost with the machine. Set appendfsync everysec."]
    return []
