-- The schema after 010_period_end_index, as pg_dump 16 writes it, without history and optional extensions.
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

CREATE TABLE public.failed_events (
    event_id uuid NOT NULL,
    handler_name character varying(100) NOT NULL,
    aggregate_id uuid,
    event_type character varying(100),
    entry jsonb NOT NULL,
    status character varying(20) NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    deaths integer DEFAULT 0 NOT NULL,
    error text,
    traceback text,
    "position" bigint NOT NULL,
    next_attempt_at timestamp with time zone,
    first_failed_at timestamp with time zone,
    last_failed_at timestamp with time zone,
    CONSTRAINT failed_events_status_check CHECK (((status)::text = ANY ((ARRAY['retrying'::character varying, 'waiting'::character varying, 'dead'::character varying])::text[])))
);

ALTER TABLE public.failed_events ALTER COLUMN "position" ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.failed_events_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
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
    processed_at timestamp with time zone,
    schema_version integer DEFAULT 1 NOT NULL,
    correlation_id uuid,
    causation_id uuid,
    traceparent text,
    tracestate text
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

CREATE TABLE public.processed_events (
    event_id uuid NOT NULL,
    handler_name character varying(100) NOT NULL,
    processed_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_cost_delay='0');

ALTER TABLE ONLY public.billing_history
    ADD CONSTRAINT billing_history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.failed_events
    ADD CONSTRAINT failed_events_pkey PRIMARY KEY (event_id, handler_name);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.memberships
    ADD CONSTRAINT memberships_user_id_key UNIQUE (user_id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.processed_events
    ADD CONSTRAINT processed_events_pkey PRIMARY KEY (event_id, handler_name);

CREATE INDEX idx_billing_history_membership ON public.billing_history USING btree (membership_id, created_at DESC);

CREATE INDEX idx_failed_events_aggregate ON public.failed_events USING btree (handler_name, aggregate_id, "position");

CREATE INDEX idx_failed_events_due ON public.failed_events USING btree (handler_name, next_attempt_at) WHERE ((status)::text = 'retrying'::text);

CREATE INDEX idx_memberships_period_end ON public.memberships USING btree (current_period_end) WHERE (((status)::text = ANY ((ARRAY['active'::character varying, 'cancelled'::character varying])::text[])) AND (current_period_end IS NOT NULL));

CREATE INDEX idx_memberships_stripe_customer ON public.memberships USING btree (stripe_customer_id) WHERE (stripe_customer_id IS NOT NULL);

CREATE INDEX idx_outbox_published ON public.outbox USING btree (processed_at) WHERE (processed_at IS NOT NULL);

CREATE INDEX idx_outbox_unprocessed ON public.outbox USING btree (created_at) WHERE (processed_at IS NULL);

CREATE INDEX idx_processed_events_handler ON public.processed_events USING btree (handler_name, processed_at);

ALTER TABLE ONLY public.billing_history
    ADD CONSTRAINT billing_history_membership_id_fkey FOREIGN KEY (membership_id) REFERENCES public.memberships(id);
