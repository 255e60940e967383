"""Reads numbers and switches through environs: deferred, and fed with the given texts only.

Only the reader knows it, and loads it for the first number or switch that is set: importing environs takes as
long as everything else that a short command needs to read its settings.
"""

from collections.abc import Mapping
from typing import cast

from environs import Env, EnvValidationError, validate


class Numbers(Env):
    """Read numbers and switches from texts, noting what is wrong instead of raising."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._texts = texts

    def read_integer(self, name: str, minimum: int, maximum: int) -> int | None:
        """Return the whole number from `minimum` to `maximum`, or None."""
        return self.int(name, validate=validate.Range(minimum, maximum))

    def read_number(self, name: str, maximum: float, *, zero: bool) -> float | None:
        """Return the number up to `maximum`, above 0 or from it, or None."""
        return self.float(name, validate=validate.Range(0, maximum, min_inclusive=zero))

    def read_switch(self, name: str) -> bool | None:
        """Return whether it is switched on, or None."""
        return self.bool(name)

    def problems(self) -> Mapping[str, str]:
        """End the reading and return what is wrong, by variable."""
        try:
            self.seal()
        except EnvValidationError as error:
            noted = cast("Mapping[str, list[str]]", error.error_messages)  # a list only when eager
            return {name: _joined(texts) for name, texts in noted.items()}
        return {}

    def _get_value(self, env_key: str, default: object) -> object:
        return self._texts.get(env_key, default)


def _joined(texts: list[str]) -> str:
    """Turn environs' sentences into the words that follow a value: `not a valid integer`."""
    return "; ".join(text[:1].lower() + text[1:].rstrip(".") for text in texts)
