"""Resend's answers mean sent, later, when settings are mended, or never; no error tells our key."""

import asyncio
import traceback

import pytest

from packages.membership.tests.emails.conftest import KEY, SETTINGS, Answer, Resend, letter, refuse
from sherpa.config import EmailSettings
from sherpa.config.secret import Secret
from sherpa.membership.emails.resend import ResendSender
from sherpa.membership.errors import (
    EmailError,
    EmailRefusedError,
    EmailSettingsError,
    EmailUnavailableError,
)

BUSY = refuse(429, "rate_limit_exceeded", "Too many requests")


async def fail(url: str, *, settings: EmailSettings = SETTINGS, timeout_seconds: float = 15.0) -> EmailError:
    """Send an e-mail, and return why it was not sent."""
    async with ResendSender(settings, url=url, timeout_seconds=timeout_seconds) as sender:
        with pytest.raises(EmailError) as caught:
            await sender.send(letter())
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def test_request_is_as_documented(resend: Resend) -> None:
    """POST /emails with the bearer, the key of the repeat, who we are, and a quoted name as the sender."""
    email = letter()

    async with ResendSender(SETTINGS, url=resend.url) as sender:
        await sender.send(email)

    (request,) = resend.requests
    assert ("/emails", f"Bearer {KEY}", str(email.key), "application/json", "choice-sherpa") == tuple(
        request[name] for name in ("path", "authorization", "idempotency-key", "content-type", "user-agent")
    )
    body = {"from": '"Choice, Sherpa" <hello@example.com>', "to": [email.to], "subject": email.subject}
    assert body | {"html": email.html, "text": email.text} == resend.accepted[str(email.key)]


@pytest.mark.parametrize(
    "answer",
    [
        BUSY,
        refuse(429, "daily_quota_exceeded", "Quota"),
        refuse(503, "x", "Away"),
        refuse(500, "internal_server_error", "Oops"),
        refuse(409, "concurrent_idempotent_requests", "Under way"),
        (502, {"Content_Type": "text/html"}, b"<html>Bad gateway"),
    ],
)
async def test_busy_means_later(resend: Resend, answer: Answer) -> None:
    """Limits and faults of the server are tried again."""
    resend.answer = answer

    error = await fail(resend.url)

    assert isinstance(error, EmailUnavailableError)
    assert f"Resend answered {answer[0]}" in str(error)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            refuse(422, "validation_error", "Invalid\n `to` field."),
            "422 (validation_error: Invalid `to` field.)",
        ),
        (refuse(400, "validation_error", "Subject."), "400 (validation_error: Subject.)"),
        (refuse(413, "validation_error", "Too big."), "413 (validation_error: Too big.)"),
        (refuse(409, "invalid_idempotent_request", "Other."), "409 (invalid_idempotent_request: Other.)"),
        (refuse(422, "x", f"What is {KEY}?"), "422 (x: What is ***?)"),
        (refuse(422, "x", "y" * 5000), "y)."),
    ],
)
async def test_refused_email_is_never_sent(resend: Resend, answer: Answer, message: str) -> None:
    """What is wrong with this e-mail is said with Resend's message, bounded and on one line."""
    resend.answer = answer

    error = await fail(resend.url)

    assert isinstance(error, EmailRefusedError)
    assert message in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refuse(401, "restricted_api_key", f"What is {KEY}?"), "401 (restricted_api_key: What is ***?)"),
        (refuse(403, "validation_error", "Not verified."), "403 (validation_error: Not verified.)"),
        (refuse(422, "invalid_from_address", "Who?"), "422 (invalid_from_address: Who?)"),
        (refuse(422, "invalid_access", "Full access."), "422 (invalid_access: Full access.)"),
        (
            refuse(422, "validation_error", "Invalid `from` field."),
            "(validation_error: Invalid `from` field.)",
        ),
        (refuse(451, "security_error", "Contact us."), "451 (security_error: Contact us.)"),
        (refuse(422, "", "What?"), "422 (: What?)"),
        ((404, {"Content_Type": "text/html"}, b"<html>"), "404 (no answer of Resend's: text/html)"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "302 (no answer of Resend's: without a type)"),
        ((400, {}, b"[1]"), "400 (no answer of Resend's: without a type)"),
    ],
)
async def test_refused_settings_are_tried_again(resend: Resend, answer: Answer, message: str) -> None:
    """A key, a domain or a proxy that somebody can correct is no fault of the e-mail's."""
    resend.answer = answer

    error = await fail(resend.url)

    assert isinstance(error, EmailSettingsError)
    assert message in str(error)


async def test_wrong_key_is_refused_without_being_told(resend: Resend) -> None:
    """A key that Resend doesn't know is for an operator to correct, and stays secret."""
    error = await fail(resend.url, settings=EmailSettings(api_key=Secret("re_no"), from_address="a@b.ca"))

    assert isinstance(error, EmailSettingsError)
    assert "invalid_api_key: API key is invalid" in str(error)
    assert "re_no" not in str(error)


async def test_silence_ends(resend: Resend) -> None:
    """A server that takes the request and says nothing is given up in time."""
    resend.silent = True

    error = await fail(resend.url, timeout_seconds=0.1)

    assert isinstance(error, EmailUnavailableError)
    assert "Resend did not answer within 0.1 s." == str(error)


async def test_nobody_there_means_later() -> None:
    """A refused connection is tried again."""
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    error = await fail(f"http://127.0.0.1:{port}")

    assert isinstance(error, EmailUnavailableError)
    assert "ConnectError" in str(error)


async def test_key_that_no_header_can_hold_stays_secret(resend: Resend) -> None:
    """A key with a line break, which HTTP can't carry, is refused without being quoted."""
    broken = EmailSettings(api_key=Secret(f"{KEY}\n"), from_address="a@b.ca")

    error = await fail(resend.url, settings=broken)

    assert isinstance(error, EmailSettingsError)
    assert "RESEND_API_KEY" in str(error)


async def test_sender_serves_on_after_a_failure(resend: Resend) -> None:
    """What went wrong with one e-mail is over with the next attempt."""
    async with ResendSender(SETTINGS, url=resend.url) as sender:
        resend.answer = BUSY
        with pytest.raises(EmailUnavailableError):
            await sender.send(letter())
        resend.answer = None

        await sender.send(letter())

    assert 1 == len(resend.accepted)
