"""Payment through Stripe: our keys and what we sell."""

from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.declaration import Rule, variable
from sherpa.config.kinds import service_key, text
from sherpa.config.secret import Secret

_PRICE = "a price ID from Stripe's dashboard, such as price_1MoBy5"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSettings:
    """Payment through Stripe."""

    api_key: Secret = field(metadata=variable("STRIPE_API_KEY", service_key("sk_"), "Stripe's secret key."))
    webhook_secret: Secret = field(
        metadata=variable(
            "STRIPE_WEBHOOK_SECRET", service_key("whsec_"), "Signs what Stripe's webhook sends us."
        )
    )
    monthly_price_id: str = field(
        metadata=variable("STRIPE_MONTHLY_PRICE_ID", text(_PRICE), "The monthly membership's price.")
    )
    annual_price_id: str = field(
        metadata=variable("STRIPE_ANNUAL_PRICE_ID", text(_PRICE), "The annual membership's price.")
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
