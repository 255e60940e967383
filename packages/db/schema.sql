-- The schema after 005_drop_user_id_index, as pg_dump 16 writes it, without history and optional extensions.
-- Made by `inv schema` from the migrations: change those, then run it again.

CREATE TABLE public.billing_history (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    membership_id uuid NOT NULL,
    event_type character varying(50) NOT NULL,
    amount_cents integer,
    currency character varying(3) DEFAULT 'CAD'::character varying,
    stripe_invoice_id character varying(255),
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.memberships (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    tier character varying(20) NOT NULL,
    status character varying(20) NOT NULL,
    stripe_customer_id character varying(255),
    stripe_subscription_id character varying(255),
    current_period_start timestamp with time zone,
    current_period_end timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT memberships_status_check CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'cancelled'::character varying, 'expired'::character varying, 'pending'::character varying])::text[]))),
    CONSTRAINT memberships_tier_check CHECK (((tier)::text = ANY ((ARRAY['free'::character varying, 'monthly'::character varying, 'annual'::character varying])::text[])))
);

CREATE TABLE public.outbox (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    aggregate_type character varying(100) NOT NULL,
    aggregate_id uuid NOT NULL,
    event_type character varying(100) NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    processed_at timestamp with time zone
);

CREATE TABLE public.processed_events (
    event_id uuid NOT NULL,
    handler_name character varying(100) NOT NULL,
    processed_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.billing_history
    ADD CONSTRAINT billing_history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_key UNIQUE (user_id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.processed_events
    ADD CONSTRAINT processed_events_pkey PRIMARY KEY (event_id, handler_name);

CREATE INDEX idx_billing_history_membership ON public.billing_history USING btree (membership_id, created_at DESC);

CREATE INDEX idx_memberships_stripe_customer ON public.memberships USING btree (stripe_customer_id) WHERE (stripe_customer_id IS NOT NULL);

CREATE INDEX idx_outbox_unprocessed ON public.outbox USING btree (created_at) WHERE (processed_at IS NULL);

CREATE INDEX idx_processed_events_handler ON public.processed_events USING btree (handler_name, processed_at);

ALTER TABLE ONLY public.billing_history
    ADD CONSTRAINT billing_history_membership_id_fkey FOREIGN KEY (membership_id) REFERENCES public.memberships(id);
