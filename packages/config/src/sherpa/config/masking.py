"""Decides what of a text may be shown: nothing of a secret, nor of what looks like one in a wrong place."""

import re

from sherpa.config.secret import MASK

# Keys of the services we use, a password in a URL, a private key, a JSON Web Token.
_LOOKS_SECRET = re.compile(r"\b(sk|rk|pk|re|whsec)[-_]\w|://[^/]*@|-----BEGIN|\beyJ")
_LONGEST = 60


def mask_text(text: str, *, secret: bool) -> str:
    """Return the text as it may be shown, on one line; a key in a harmless variable is masked too."""
    if secret or _LOOKS_SECRET.search(text):
        return MASK
    line = text if text.isprintable() else ascii(text)[1:-1]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
