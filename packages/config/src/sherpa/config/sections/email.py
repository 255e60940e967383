"""E-mail through Resend: our key and our name as a sender."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.declaration import Rule, variable
from sherpa.config.kinds import email_address, service_key, text
from sherpa.config.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailSettings:
    """E-mail through Resend."""

    api_key: Secret = field(metadata=variable("RESEND_API_KEY", service_key("re_"), "Resend's key."))
    from_address: str = field(
        metadata=variable("EMAIL_FROM", email_address(), "The address our mail comes from.")
    )
    from_name: str = field(
        default="Choice Sherpa",
        metadata=variable("EMAIL_FROM_NAME", text("a name on one line"), "The name beside that address."),
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
