"""The thin layer over environs: deferred, fed with given values only, and with its defects repaired.

environs 15.2 itself never checks a default, lets a parser's ValueError end the whole reading, and reads
`os.environ` alone; here every text, default or not, takes the same way, and every error is collected.
"""

from collections.abc import Mapping
from typing import cast

from environs import Env, EnvValidationError

from sherpa.config.errors import InvalidValueError
from sherpa.config.kinds import Kind


class Reader(Env):
    """Read values of known kinds from texts, noting what is wrong instead of raising."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(eager=False)
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

    def problems(self) -> Mapping[str, str]:
        """End the reading and return what is wrong, by variable."""
        try:
            self.seal()
        except EnvValidationError as error:
            noted = cast("Mapping[str, list[str]]", error.error_messages)  # a list only when eager
            return {name: _joined(texts) for name, texts in noted.items()} | self._refused
        return self._refused

    def _get_value(self, env_key: str, default: object) -> object:
        return self._texts.get(env_key, default)


def _joined(texts: list[str]) -> str:
    """Turn environs' sentences into the words that follow a value: `not a valid integer`."""
    return "; ".join(text[:1].lower() + text[1:].rstrip(".") for text in texts)
