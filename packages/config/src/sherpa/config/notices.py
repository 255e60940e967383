"""What looks odd in the sources without being a fault: misspelt names, values that something else hides."""

from collections.abc import Iterator
from itertools import chain

from sherpa.config.declaration import variables_of
from sherpa.config.sections import SECTIONS
from sherpa.config.sources import FILE_SUFFIX, Sources
from sherpa.config.spelling import likely_name

_KNOWN = tuple(chain.from_iterable(map(variables_of, SECTIONS.values())))
_NAMES = frozenset(variable.name for variable in _KNOWN)


def notices(sources: Sources) -> tuple[str, ...]:
    """Return a sentence for each oddity."""
    return tuple(chain(_misspelt(sources), _hidden(sources), _repeated(sources)))


def _misspelt(sources: Sources) -> Iterator[str]:
    for names in sources.names():
        # Nobody mistypes control characters and stray bytes; shown, they would steer the terminal.
        for name, origin in sorted((n, o) for n, o in names.items() if n.isprintable()):
            meant = _meant(name)
            # With the right name beside it, a look-alike is somebody else's (REDIS_URI next to REDIS_URL).
            if meant and meant not in names:
                yield f"{name} ({origin}) is not known: did you mean {meant}?"


def _meant(name: str) -> str | None:
    base = name.removesuffix(FILE_SUFFIX)
    if any(base == variable.name or variable.owns(base) for variable in _KNOWN):
        return None
    meant = likely_name(base, _NAMES)
    return meant + name.removeprefix(base) if meant else None


def _hidden(sources: Sources) -> Iterator[str]:
    for name in sorted(_NAMES):
        if sources.environ.get(name, "").strip() and sources.environ.get(name + FILE_SUFFIX, "").strip():
            yield f"{name}{FILE_SUFFIX} is not read, because the environment also has {name}"


def _repeated(sources: Sources) -> Iterator[str]:
    for name in sorted(_NAMES.intersection(sources.dotenv.repeated)):
        yield f"{name} stands more than once in {sources.dotenv.path}: the last one counts"
