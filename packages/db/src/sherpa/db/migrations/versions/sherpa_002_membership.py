"""Who is a member, on which terms, and what was billed.

Why: a membership is one row per user; what happened to its money is kept beside it for audit, never changed.

Locks: everything is created new. The foreign key takes SHARE ROW EXCLUSIVE on memberships, which is as new.

Way back: drops both tables with the rows in them, billing_history first because it refers to memberships.
"""

from sherpa.db.migrations.migration import Migration

ID = "002_membership"
VERSION = "1.38.0"
DESCRIPTION = "memberships, billing_history"

FORWARDS = """
-- squawk-ignore-file prefer-text-field -- the lengths are those of the specification

-- One row per user. The id has no default: the domain chooses it before the row exists, to name it in events.
CREATE TABLE memberships (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL UNIQUE,
    -- The permitted words are CHECKs and no ENUM type: a CHECK is changed in a transaction, both ways.
    tier VARCHAR(20) NOT NULL CHECK (tier IN ('free', 'monthly', 'annual')),
    status VARCHAR(20) NOT NULL CHECK (status IN ('active', 'cancelled', 'expired', 'pending')),
    -- A free membership has no customer at Stripe, hence no subscription and no period.
    stripe_customer_id VARCHAR(255),
    stripe_subscription_id VARCHAR(255),
    current_period_start TIMESTAMPTZ,
    current_period_end TIMESTAMPTZ,
    -- Kept by whoever writes the row; there is no trigger.
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

-- Serves WHERE user_id = ..., as the index behind UNIQUE (user_id) does already. It is in the schema as
-- given; 005_drop_user_id_index drops it.
CREATE INDEX idx_memberships_user_id ON memberships(user_id);

-- Serves Stripe's webhooks, which know the customer alone: WHERE stripe_customer_id = ... Partial, for free
-- members have none.
CREATE INDEX idx_memberships_stripe_customer ON memberships(stripe_customer_id)
    WHERE stripe_customer_id IS NOT NULL;

-- What happened to a member's money; rows are added, never changed.
CREATE TABLE billing_history (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    -- NO ACTION: a membership that was ever billed cannot be deleted.
    membership_id UUID NOT NULL REFERENCES memberships(id),
    event_type VARCHAR(50) NOT NULL,
    -- The smallest unit of the currency (ISO 4217); empty where no money moved.
    -- squawk-ignore prefer-bigint-over-int -- as specified: one invoice of up to 21 million in cents
    amount_cents INTEGER,
    currency VARCHAR(3) DEFAULT 'CAD',
    stripe_invoice_id VARCHAR(255),
    description TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);

-- Serves a member's history, newest first: WHERE membership_id = ... ORDER BY created_at DESC LIMIT n.
CREATE INDEX idx_billing_history_membership ON billing_history(membership_id, created_at DESC);
"""

BACKWARDS = """
-- Indexes and constraints go with their tables. Never CASCADE: what others built on these must stop us.
DROP TABLE billing_history;
DROP TABLE memberships;
"""

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
