"""One contender at work, until its process is killed: `python events_child.py CONTENDER JOB`."""

import asyncio
import sys

import uvloop
from events_contender import Place
from events_contenders import find


async def main(name: str, job: str) -> None:
    """Do the job."""
    await find(name).work(Place.of_child(), job)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
