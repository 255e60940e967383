"""`python -m sherpa.devstack.harness list | clean`: what failed tests left to look at, and how to be rid of it."""

import sys

from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.session import sessions

USAGE = "usage: python -m sherpa.devstack.harness list | clean"


def main(arguments: list[str]) -> int:
    """List or drop kept databases; return the exit code."""
    match arguments:
        case ["list"]:
            return _list()
        case ["clean"]:
            names = leftovers.clean_all(place.choose())
            print(f"dropped: {', '.join(names)}" if names else "nothing was kept")  # noqa: T201 - its output
            return 0
    print(USAGE, file=sys.stderr)  # noqa: T201 - its output
    return 2


def _list() -> int:
    for session in sessions(place.choose()):
        for database in leftovers.kept_databases(session):
            print(f"{session.directory}  {database}  {(session.kept / database).read_text()}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
