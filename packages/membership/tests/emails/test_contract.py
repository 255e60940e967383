"""What every sender promises, be it memory, a folder or Resend."""

import asyncio

import pytest

from packages.membership.tests.emails.conftest import Post, letter
from sherpa.membership.errors import EmailRefusedError


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"subject": 'Bienvenue, voilà: \U0001f44b, 100 % "vrai"', "text": "Ligne\n\nÀ bientôt\n"},
        {"to": "someone+label@sub.example.com", "subject": "long " * 60 + "end"},
        {"text": "x" * 5_000 + "\n.\nFrom me\n", "html": "<p>&amp; é</p>\n"},
    ],
)
async def test_email_arrives_as_it_was_sent(post: Post, parts: dict[str, str]) -> None:
    """Address, subject and both bodies arrive unchanged, whatever letters they hold."""
    email = letter(**parts)

    await post.sender.send(email)

    assert [email] == await post.arrived()


async def test_repeat_is_one_email(post: Post) -> None:
    """The same e-mail again, one after the other or at once, arrives once."""
    email = letter()

    await post.sender.send(email)
    await asyncio.gather(*(post.sender.send(email) for _ in range(5)))

    assert [email] == await post.arrived()


async def test_each_key_is_an_email(post: Post) -> None:
    """Two e-mails that differ in nothing but their keys are two."""
    emails = [letter(), letter()]

    await asyncio.gather(*map(post.sender.send, emails))

    assert {email.key for email in emails} == {email.key for email in await post.arrived()}


@pytest.mark.parametrize("parts", [{"to": ""}, {"to": "a@b.ca\r\nBcc: c@d.ca"}, {"subject": "a\nb"}])
def test_email_is_no_way_to_other_headers(parts: dict[str, str]) -> None:
    """An address or a subject of several lines is refused before any sender sees it."""
    with pytest.raises(EmailRefusedError, match="one line"):
        letter(**parts)
