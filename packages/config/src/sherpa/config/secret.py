"""A text that must never be shown: it masks itself everywhere and is revealed only when asked by name."""

import hmac

from sherpa.config.sealed import Sealed

MASK = "***"


class Secret(Sealed):
    """Hold a secret text. `reveal()` is the only way to it; every other view is a mask.

    `json.dumps` refuses it with TypeError. Two are equal when their texts are, compared in constant time.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """Return the secret itself: call it where the secret is used, and keep the result nowhere."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash((Secret, self._text))


def _bytes(secret: Secret) -> bytes:
    # compare_digest takes no text beyond ASCII, and the environment may hold bytes that are no text at all.
    return secret.reveal().encode("utf-8", "surrogatepass")
