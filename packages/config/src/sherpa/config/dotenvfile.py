"""Reads a `.env` file for its values and the lines they stand on. The environment is left as it is."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from dotenv.parser import parse_stream

from sherpa.config.errors import Fault
from sherpa.config.smallfile import AbsentFileError, UnreadableFileError, read_small_file

_RIGHT = "lines of the form NAME=value, in UTF-8"


@dataclass(frozen=True, slots=True)
class Line:
    """A value of the file and the number of its line."""

    text: str = field(repr=False)
    number: int


@dataclass(frozen=True, slots=True)
class DotenvFile:
    """The file's values by name, what could not be read, and names given twice; a missing file is empty."""

    path: Path | None = None
    lines: dict[str, Line] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    repeated: tuple[str, ...] = ()

    def origin(self, name: str) -> str:
        """Say where the file sets the variable."""
        return f"{self.path} line {self.lines[name].number}"


def read_dotenv(path: Path | None) -> DotenvFile:
    """Read the file. No `${NAME}` is expanded: a password may hold any character."""
    if path is None:
        return DotenvFile()
    try:
        text = read_small_file(path)
    except AbsentFileError:
        return DotenvFile(path)
    except UnreadableFileError as error:
        return DotenvFile(path, faults=(Fault(str(path), f"is a file that {error}", _RIGHT, str(path)),))
    lines: dict[str, Line] = {}
    faults: list[Fault] = []
    repeated: list[str] = []
    for binding in parse_stream(io.StringIO(text)):
        # The parser counts from the blank lines before a binding, people from the binding itself.
        number = binding.original.line + _blank_lines_before(binding.original.string)
        if binding.error:
            faults.append(Fault(f"{path} line {number}", "can't be understood", _RIGHT, str(path)))
        elif binding.key and binding.value is not None:
            repeated += [binding.key] if binding.key in lines else []
            lines[binding.key] = Line(binding.value, number)
    return DotenvFile(path, lines, tuple(faults), tuple(repeated))


def _blank_lines_before(original: str) -> int:
    return original[: len(original) - len(original.lstrip())].count("\n")
