"""The thin layer over environs: deferred, fed with given values only, and with its defects repaired.

environs 15.2 itself never checks a default, lets a parser's ValueError end the whole reading, and reads
`os.environ` alone; here nothing but the given texts is read, and every error is collected.
"""

import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from sherpa.config.errors import InvalidValueError
from sherpa.config.kinds import Kind

if TYPE_CHECKING:
    from sherpa.config.numbers import Numbers


class Reader:
    """Read values of known kinds from texts, noting what is wrong instead of raising."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._refused: dict[str, str] = {}

    def read[T](self, kind: Kind[T], name: str) -> T | None:
        """Return the value, or None when the text is no such value (`problems` then says why)."""
        try:
            return kind.read(self, name)
        except InvalidValueError as problem:
            self._refused[name] = str(problem)
        except (ValueError, OSError):  # not ours: its message may quote the value
            self._refused[name] = "can't be understood"
        return None

    def text(self, name: str) -> str:
        """Return the text itself."""
        return self._texts[name]

    @cached_property
    def numbers(self) -> "Numbers":
        """What reads numbers and switches."""
        module = importlib.import_module("sherpa.config.numbers")
        numbers: Numbers = module.Numbers(self._texts)
        return numbers

    def problems(self) -> Mapping[str, str]:
        """End the reading and return what is wrong, by variable."""
        noted = self.numbers.problems() if "numbers" in vars(self) else {}
        return {**noted, **self._refused}
