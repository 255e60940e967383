"""Where values come from, in this order: process environment, NAME_FILE, `.env`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sherpa.config.dotenvfile import DotenvFile, read_dotenv
from sherpa.config.smallfile import UnreadableFileError, read_small_file

ENVIRONMENT = "environment"
NOWHERE = "not set"
FILE_SUFFIX = "_FILE"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for a variable: its trimmed text (None if unset), where, and what is wrong there."""

    text: str | None = field(default=None, repr=False)
    origin: str = NOWHERE
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sources:
    """The process environment and the `.env` file; neither shows in its repr, which tracebacks may print."""

    environ: Mapping[str, str] = field(repr=False)
    dotenv: DotenvFile = field(repr=False)

    @classmethod
    def open(cls, environ: Mapping[str, str], dotenv: Path | None) -> "Sources":
        """Read the `.env` file; a missing one counts as empty."""
        return cls(environ, read_dotenv(dotenv))

    def find(self, name: str) -> Found:
        """Look the variable up. Values are trimmed, and an empty one is as good as none."""
        if text := self.environ.get(name, "").strip():
            return Found(text, ENVIRONMENT)
        found = self._from_file(name)
        # A pointer that leads nowhere is a fault: falling through would use an old value without a word.
        if found.text or found.problem:
            return found
        if text := self._from_dotenv(name):
            return Found(text, self.dotenv.origin(name))
        return Found()

    def names(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the names that are set in the environment and those in the file, each with its origin."""
        return (
            {name: ENVIRONMENT for name, text in self.environ.items() if text.strip()},
            {name: self.dotenv.origin(name) for name in self.dotenv.lines if self._from_dotenv(name)},
        )

    def _from_dotenv(self, name: str) -> str:
        line = self.dotenv.lines.get(name)
        return line.text.strip() if line else ""

    def _from_file(self, name: str) -> Found:
        pointer = name + FILE_SUFFIX
        path = self.environ.get(pointer, "").strip() or self._from_dotenv(pointer)
        return _read(pointer, path) if path else Found()


def _read(pointer: str, path: str) -> Found:
    # The path is named only once it has proved to be one: people put the secret itself there by mistake.
    try:
        text = read_small_file(Path(path)).strip()
    except UnreadableFileError as error:
        return Found(origin=pointer, problem=f"names a file that {error}")
    return Found(text or None, f"{pointer} ({path})")
