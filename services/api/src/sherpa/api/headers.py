"""The headers that every response carries, but where an endpoint says otherwise."""

from sherpa.api.exchange import Headers
from sherpa.config import Environment

# OWASP's list for an API that answers with JSON: nothing may be framed, sniffed, stored or run from it.
_ALWAYS: Headers = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"server", b"sherpa"),
    (b"x-content-type-options", b"nosniff"),
)
_TLS_ONLY: Headers = ((b"strict-transport-security", b"max-age=31536000; includeSubDomains"),)


def standing_headers(environment: Environment) -> Headers:
    """Return the headers for this environment; only production is sure to have TLS to insist on."""
    return _ALWAYS + _TLS_ONLY if environment is Environment.PRODUCTION else _ALWAYS
