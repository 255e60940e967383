"""Knows a placeholder such as `sk-xxx` or `change-me` from a real value, which production insists on."""

import re

_BLANKS = r"x{3,}|change[-_]?me|replace[-_]?me|place[-_]?holder"
_PLACEHOLDER = re.compile(rf"(?<![a-z0-9])({_BLANKS})(?![a-z0-9])|<[^<>]*>|\.\.\.|…|\*\*\*", re.IGNORECASE)
# Words that an honest host or name may have, but no key.
_SECRET_PLACEHOLDER = re.compile(r"(?<![a-z0-9])(your[-_ ]|(todo|fixme)(?![a-z0-9]))", re.IGNORECASE)


def is_placeholder(text: str, *, secret: bool) -> bool:
    """Return whether the text stands in for a real value.

    Only whole words count, so that a random key which happens to hold `xxx` passes.
    """
    return bool(_PLACEHOLDER.search(text) or (secret and _SECRET_PLACEHOLDER.search(text)))
