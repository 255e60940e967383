"""E-mails through Resend's HTTP API: what it answers becomes sent, later, when settings are mended, or never.

Source: Resend's API reference, "Send Email", "Errors", "Rate Limit" and "Idempotency Keys".
"""

import asyncio
from email.utils import formataddr
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec

from sherpa.config import EmailSettings
from sherpa.config.secret import MASK
from sherpa.membership.emails.email import Email
from sherpa.membership.errors import (
    EmailError,
    EmailRefusedError,
    EmailSettingsError,
    EmailUnavailableError,
)

URL: Final = "https://api.resend.com"
# All of an attempt. The handler's transaction is open meanwhile, and ends by itself 5 s after its timeout.
TIMEOUT_SECONDS: Final = 15.0
_CONNECT_TIMEOUT_SECONDS: Final = 5.0
_TOO_MANY: Final = 429
_LONGEST_MESSAGE: Final = 300
# The two kinds of 409: another attempt with this key is under way there; the key stood for another e-mail.
_UNDER_WAY: Final = "concurrent_idempotent_requests"
_OTHER_EMAIL: Final = "invalid_idempotent_request"
# About what the request says, which is the e-mail's but for who it is from, with which key and from where.
_ABOUT_THE_REQUEST: Final = frozenset({400, 413, 422})
_ABOUT_SETTINGS: Final = frozenset({"invalid_access", "invalid_from_address", "invalid_region"})
_FROM_FIELD: Final = "`from`"
_NOT_RESENDS: Final = "no answer of Resend's"


class _Refusal(msgspec.Struct):
    name: str = ""
    message: str = ""


class ResendSender:
    """Sends through Resend. It keeps connections: use it in `async with`.

    Resend knows a key for 24 hours: a repeat within them is answered as the first one was, and not sent.
    """

    def __init__(
        self, settings: EmailSettings, *, url: str = URL, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._key = settings.api_key
        self._from = formataddr((settings.from_name, settings.from_address))
        self._timeout_seconds = timeout_seconds
        self._client = httpx.AsyncClient(
            base_url=url,
            # Resend refuses requests that don't say who they are from.
            headers={"User-Agent": "choice-sherpa"},
            timeout=httpx.Timeout(timeout_seconds, connect=min(_CONNECT_TIMEOUT_SECONDS, timeout_seconds)),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def send(self, email: Email) -> None:
        """Hand the e-mail to Resend.

        Raises EmailUnavailableError when it is away or busy, EmailRefusedError for what it says of this
        e-mail, EmailSettingsError for the rest: key, domain, account, or whoever answers in its place.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                response = await self._client.post(
                    "/emails", headers=self._headers(email), json=self._body(email)
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise EmailUnavailableError(
                f"Resend did not answer within {self._timeout_seconds:g} s."
            ) from error
        except httpx.LocalProtocolError:
            # Its text quotes the header, and with it our key.
            raise EmailSettingsError("No request can carry this RESEND_API_KEY: correct it.") from None
        except httpx.HTTPError as error:
            raise EmailUnavailableError(f"Resend can't be reached: {type(error).__name__}.") from error
        if not response.is_success:
            raise self._explain(response)

    def _headers(self, email: Email) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key.reveal()}", "Idempotency-Key": str(email.key)}

    def _body(self, email: Email) -> dict[str, object]:
        return {
            "from": self._from,
            "to": [email.to],
            "subject": email.subject,
            "html": email.html,
            "text": email.text,
        }

    def _explain(self, response: httpx.Response) -> EmailError:
        refusal = _read(response)
        said = f"{refusal.name}: {' '.join(refusal.message.split())}".replace(self._key.reveal(), MASK)
        message = f"Resend answered {response.status_code} ({said[:_LONGEST_MESSAGE]})."
        status = response.status_code
        if status == _TOO_MANY or response.is_server_error or refusal.name == _UNDER_WAY:
            return EmailUnavailableError(message)
        return (EmailRefusedError if _is_for_ever(status, refusal) else EmailSettingsError)(message)


def _read(response: httpx.Response) -> _Refusal:
    try:
        return msgspec.json.decode(response.content, type=_Refusal)
    except msgspec.MsgspecError:
        # Something between us and Resend has answered, in a form of its own.
        return _Refusal(_NOT_RESENDS, response.headers.get("Content-Type", "without a type"))


def _is_for_ever(status: int, refusal: _Refusal) -> bool:
    """Tell whether the same e-mail will be refused whatever becomes of our settings."""
    if status not in _ABOUT_THE_REQUEST or refusal.name in {"", _NOT_RESENDS}:
        return refusal.name == _OTHER_EMAIL
    return refusal.name not in _ABOUT_SETTINGS and _FROM_FIELD not in refusal.message
