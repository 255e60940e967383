"""`python -m sherpa.devstack.harness`: lists what failed tests left to look at, and clears it away."""

import sys
from pathlib import Path

from sherpa.devstack.harness import leftovers, place
from sherpa.devstack.harness.session import all_sessions

USAGE = """usage: python -m sherpa.devstack.harness list [FOLDER]    the databases that failed tests left
       python -m sherpa.devstack.harness clean [FOLDER]   drop them, and whatever killed runs left
FOLDER is what --test-servers named; without it, the usual places are meant."""


def main(arguments: list[str]) -> int:
    """List or drop kept databases; return the exit code: 0 well, 2 wrong use."""
    match arguments:
        case ["list", *folder] if len(folder) < 2:
            lines = [line for place in _places(folder) for line in _kept(place)]
        case ["clean", *folder] if len(folder) < 2:
            lines = [f"dropped {name}" for place in _places(folder) for name in leftovers.clean_all(place)]
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    print("\n".join(lines) or "nothing is kept")
    return 0


def _places(folder: list[str]) -> list[Path]:
    candidates = [Path(folder[0]).absolute()] if folder else [place.in_memory(), place.on_disk()]
    return [candidate for candidate in candidates if candidate.is_dir()]


def _kept(place: Path) -> list[str]:
    return [
        f"{database}: {(session.kept / database).read_text()} (in {session.directory})"
        for session in all_sessions(place)
        for database in leftovers.kept_databases(session)
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
