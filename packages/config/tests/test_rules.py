"""Every rule of every variable: what is refused, with which words, and what passes beside it."""

import pytest

from sherpa.config import (
    AiSettings,
    AuthSettings,
    ConfigError,
    DatabaseSettings,
    EmailSettings,
    EventsSettings,
    LoggingSettings,
    PaymentSettings,
    RedisSettings,
    RedisTopology,
    ServerSettings,
    ServiceUrl,
    WorkerSettings,
    load,
)

PG = "postgresql://sherpa:wonderland@db/choice"
PRODUCTION = {"ENVIRONMENT": "production"}


def faults(section: type, environ: dict[str, str]) -> dict[str, str]:
    """Return what is wrong with the variables that are set, leaving out those that are merely missing."""
    try:
        load(section, environ=environ, dotenv=None)
    except ConfigError as error:
        return {f.variable: f.wrong for f in error.faults if f.wrong != "is needed, but not set"}
    return {}


@pytest.mark.parametrize(
    ("section", "variable", "bad", "good"),
    [
        (ServerSettings, "ENVIRONMENT", ["prod", "PRODUCTION "], ["production", "staging", " development "]),
        (ServerSettings, "PORT", ["0", "65536", "-1", "80.5", "http"], ["1", "65535"]),
        (
            ServerSettings,
            "HOST",
            ["http://x", "a b", "a/b", "a..b", ".a", "a" * 64],
            ["127.0.0.1", "::", "::1", "localhost"],
        ),
        (ServerSettings, "REQUEST_TIMEOUT_SECONDS", ["0", "-1", "nan", "inf", "30s", "1e300"], ["0.5", "30"]),
        (ServerSettings, "SHUTDOWN_DRAIN_SECONDS", ["-1", "nan"], ["0", "5"]),
        (ServerSettings, "SHUTDOWN_GRACE_SECONDS", ["0", "-1"], ["25"]),
        (
            ServerSettings,
            "CORS_ORIGINS",
            [
                "app.choice.test",
                "https://x/",
                "https://x/path",
                "https://*.x",
                "ftp://x",
                "null",
                "https://x:99999",
                "https://u@x",
            ],
            ["*", "https://app.choice.test", "http://localhost:3000 , https://x", "http://[::1]:3000"],
        ),
        (DatabaseSettings, "DATABASE_URL", ["redis://h", "postgresql://h/d", "x"], [PG, "postgres://u@h/d"]),
        (DatabaseSettings, "DATABASE_MIN_CONNECTIONS", ["-1", "five", "21"], ["0", "20"]),
        (DatabaseSettings, "DATABASE_MAX_CONNECTIONS", ["0", "-1", "1000000000"], ["5", "100"]),
        (DatabaseSettings, "DATABASE_ACQUIRE_TIMEOUT_SECONDS", ["0", "-5"], ["0.1"]),
        (DatabaseSettings, "DATABASE_IDLE_TIMEOUT_SECONDS", ["0"], ["600"]),
        (DatabaseSettings, "DATABASE_MAX_LIFETIME_SECONDS", ["0"], ["1800"]),
        (
            DatabaseSettings,
            "DATABASE_SSL_MODE",
            ["on", "true", "verify_full", "allow"],
            ["disable", "prefer", "require", "verify-ca", "verify-full"],
        ),
        (DatabaseSettings, "DATABASE_STATEMENT_CACHE_SIZE", ["-1"], ["0", "100"]),
        (
            RedisSettings,
            "REDIS_URL",
            [PG, "redis://", "unix:///run/redis"],
            ["redis://h", "rediss://u:p@h:1/2"],
        ),
        (RedisSettings, "REDIS_POOL_SIZE", ["0", "1000000000"], ["1"]),
        (RedisSettings, "REDIS_TIMEOUT_SECONDS", ["0"], ["5"]),
        (RedisSettings, "REDIS_SSL_MODE", ["require"], ["disable", "prefer"]),
        (RedisSettings, "REDIS_TOPOLOGY", ["single", "Cluster"], ["standalone", "cluster"]),
        (EventsSettings, "EVENTS_PARTITIONS", ["0", "257", "two"], ["1", "256"]),
        (EventsSettings, "EVENTS_BATCH_SIZE", ["0", "10001"], ["1", "10000"]),
        (EventsSettings, "EVENTS_POLL_SECONDS", ["0", "-1", "soon"], ["0.05", "1"]),
        (EventsSettings, "EVENTS_PAYLOAD_BYTES", ["0", "64k", "1048577"], ["1", "1048576"]),
        (EventsSettings, "EVENTS_STREAM_MAX_LENGTH", ["0", "-1"], ["1", "200000"]),
        (EventsSettings, "EVENTS_MEMORY_SHARE", ["0", "85", "85%", "1.01", "nan"], ["0.1", "1"]),
        (EventsSettings, "EVENTS_OUTBOX_RETENTION_DAYS", ["0", "1.5"], ["7", "30"]),
        (EventsSettings, "EVENTS_DEDUPE_RETENTION_DAYS", ["0", "7"], ["8", "365"]),
        (EventsSettings, "EVENTS_REPLAY_DAYS", ["0", "8", "30"], ["1", "7"]),
        (WorkerSettings, "WORKER_HOST", ["http://x", "256.1.1.1"], ["127.0.0.1", "::"]),
        (WorkerSettings, "WORKER_PORT", ["0", "65536"], ["8081"]),
        (WorkerSettings, "WORKER_RELAY", ["perhaps"], ["true", "false", "0"]),
        (WorkerSettings, "WORKER_HANDLERS", ["a,a", "a\nb"], ["none", "welcome", "welcome, billing"]),
        (WorkerSettings, "WORKER_GRACE_SECONDS", ["0", "-1"], ["25"]),
        (
            AuthSettings,
            "ZITADEL_AUTHORITY",
            ["http://auth.test", "auth.test", "https://", "https://u:p@x", "https://x?y", "https://x:99999"],
            ["https://auth.test", "https://auth.test:8443/base/"],
        ),
        (AuthSettings, "ZITADEL_CLIENT_ID", ["a\nb"], ["2831@choice"]),
        (AuthSettings, "ZITADEL_JWKS_CACHE_SECONDS", ["0"], ["60"]),
        (AiSettings, "ANTHROPIC_API_KEY", ["sk-proj-1", "sk-ant-", "sk-ant-a b"], ["sk-ant-api03-x"]),
        (AiSettings, "AI_PRIMARY_PROVIDER", ["claude"], []),
        (AiSettings, "AI_TIMEOUT_SECONDS", ["0"], []),
        (AiSettings, "AI_MAX_RETRIES", ["-1", "1.5"], []),
        (
            PaymentSettings,
            "STRIPE_API_KEY",
            ["pk_live_1", "whsec_1", "sk_", "xxx"],
            ["sk_test_1", "sk_live_1"],
        ),
        (PaymentSettings, "STRIPE_WEBHOOK_SECRET", ["sk_live_1", "whsec_"], ["whsec_1"]),
        (EmailSettings, "RESEND_API_KEY", ["key", "re_", "re_a\tb", "re_ä"], ["re_1"]),
        (EmailSettings, "EMAIL_FROM", ["hello", "a@b", "A <a@b.test>", "a@b.test, c@d.test"], ["a+b@c.test"]),
        (EmailSettings, "EMAIL_FROM_NAME", ["a\nBcc: b@c.test"], ["Zoë & friends"]),
        (LoggingSettings, "LOG_LEVEL", ["loud", "info,debug"], ["INFO", "info,sherpa=debug,asyncpg=warning"]),
        (LoggingSettings, "LOG_FORMAT", ["xml"], ["console", "json"]),
    ],
)
def test_values_are_held_to_their_kind(section: type, variable: str, bad: list[str], good: list[str]) -> None:
    """Of each variable, the bad texts are refused by name and the good ones accepted."""
    base = {"DATABASE_URL": PG} | ({"ANTHROPIC_API_KEY": "sk-ant-1"} if section is AiSettings else {})

    refused = [text for text in bad + good if variable in faults(section, base | {variable: text})]

    assert bad == refused


def test_min_is_at_most_max() -> None:
    """A pool can't keep more connections than it may open."""
    environ = {"DATABASE_URL": PG, "DATABASE_MIN_CONNECTIONS": "11", "DATABASE_MAX_CONNECTIONS": "10"}

    assert {"DATABASE_MIN_CONNECTIONS": "11 is more than DATABASE_MAX_CONNECTIONS, 10"} == faults(
        DatabaseSettings, environ
    )


def test_a_rule_waits_for_sound_values() -> None:
    """A rule over a value that can't be read adds no second fault."""
    environ = {"DATABASE_URL": PG, "DATABASE_MIN_CONNECTIONS": "many", "DATABASE_MAX_CONNECTIONS": "1"}

    assert ["DATABASE_MIN_CONNECTIONS"] == list(faults(DatabaseSettings, environ))


@pytest.mark.parametrize(
    ("in_url", "mode", "expected"),
    [
        ("?sslmode=require", "require", []),
        ("?sslmode=require", "prefer", ["DATABASE_SSL_MODE"]),
        ("?sslmode=disable", "verify-full", ["DATABASE_SSL_MODE"]),
        ("", "verify-full", []),
    ],
)
def test_there_is_one_ssl_mode(in_url: str, mode: str, expected: list[str]) -> None:
    """A URL that says another sslmode than the variable is refused: neither wins silently."""
    environ = {"DATABASE_URL": PG + in_url, "DATABASE_SSL_MODE": mode}

    assert expected == list(faults(DatabaseSettings, environ))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ["ANTHROPIC_API_KEY"]),
        ({"ANTHROPIC_API_KEY": "sk-ant-1"}, []),
        ({"AI_PRIMARY_PROVIDER": "openai"}, ["OPENAI_API_KEY"]),
        ({"AI_PRIMARY_PROVIDER": "openai", "OPENAI_API_KEY": "sk-1"}, []),
        ({"ANTHROPIC_API_KEY": "sk-ant-1", "AI_FALLBACK_PROVIDER": "openai"}, ["OPENAI_API_KEY"]),
        ({"ANTHROPIC_API_KEY": "sk-ant-1", "AI_FALLBACK_PROVIDER": "anthropic"}, ["AI_FALLBACK_PROVIDER"]),
        ({"ANTHROPIC_API_KEY": "wrong"}, ["ANTHROPIC_API_KEY"]),
    ],
)
def test_a_named_provider_has_its_key(environ: dict[str, str], expected: list[str]) -> None:
    """Naming a provider asks for its key; the other's key may be absent."""
    assert expected == list(faults(AiSettings, environ))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ({}, ["DATABASE_SSL_MODE"]),
        ({"DATABASE_SSL_MODE": "prefer"}, ["DATABASE_SSL_MODE"]),
        ({"DATABASE_SSL_MODE": "disable"}, []),
        ({"DATABASE_SSL_MODE": "require"}, []),
        ({"DATABASE_SSL_MODE": "verify-full"}, []),
    ],
)
def test_production_requires_tls_for_postgresql(mode: dict[str, str], expected: list[str]) -> None:
    """In production TLS is required unless it is switched off by name; elsewhere it is not."""
    environ = {"DATABASE_URL": PG} | mode

    assert (expected, []) == (
        list(faults(DatabaseSettings, environ | PRODUCTION)),
        list(faults(DatabaseSettings, environ)),
    )


@pytest.mark.parametrize(
    ("url", "mode", "elsewhere", "production"),
    [
        ("redis://h", "prefer", [], ["REDIS_URL"]),
        ("redis://h", "disable", [], []),
        ("redis://h", "verify-full", ["REDIS_SSL_MODE"], ["REDIS_SSL_MODE"]),
        ("rediss://h", "prefer", [], []),
        ("rediss://h", "verify-full", [], []),
        ("rediss://h", "disable", ["REDIS_SSL_MODE"], ["REDIS_SSL_MODE"]),
    ],
)
def test_production_requires_tls_for_redis(
    url: str, mode: str, elsewhere: list[str], production: list[str]
) -> None:
    """The scheme and REDIS_SSL_MODE agree everywhere; in production plain Redis must be chosen by name."""
    environ = {"REDIS_URL": url, "REDIS_SSL_MODE": mode}

    assert (elsewhere, production) == (
        list(faults(RedisSettings, environ)),
        list(faults(RedisSettings, environ | PRODUCTION)),
    )


@pytest.mark.parametrize(
    ("topology", "nodes", "master", "url", "expected"),
    [
        ("standalone", "", "", "redis://h/3", []),
        ("standalone", "h:6379", "", "redis://h", ["REDIS_NODES"]),
        ("standalone", "", "mymaster", "redis://h", ["REDIS_SENTINEL_MASTER"]),
        ("sentinel", "h:26380,[::1]:26379", "mymaster", "redis://h:26379/3", []),
        ("sentinel", "h:26380", "", "redis://h:26379", ["REDIS_SENTINEL_MASTER"]),
        ("sentinel", "h", "mymaster", "redis://h:26379", ["REDIS_NODES"]),
        ("sentinel", "h:0,h:65536", "mymaster", "redis://h:26379", ["REDIS_NODES"]),
        ("sentinel", "::1:26379", "mymaster", "redis://h:26379", ["REDIS_NODES"]),
        ("sentinel", "user@h:26379", "mymaster", "redis://h:26379", ["REDIS_NODES"]),
        ("cluster", "h:6380, i:6381", "", "redis://h:6379", []),
        ("cluster", "", "", "redis://h:6379/1", ["REDIS_URL"]),
        ("cluster", "", "mymaster", "redis://h:6379", ["REDIS_SENTINEL_MASTER"]),
    ],
)
def test_redis_servers_are_described_without_contradiction(
    topology: str, nodes: str, master: str, url: str, expected: list[str]
) -> None:
    """Each way to arrange the servers has what it needs, and nothing that another one has."""
    environ = {
        "REDIS_URL": url,
        "REDIS_TOPOLOGY": topology,
        "REDIS_NODES": nodes,
        "REDIS_SENTINEL_MASTER": master,
    }

    assert expected == list(faults(RedisSettings, environ))


def test_redis_servers_are_taken_apart() -> None:
    """The servers of the URL and of the list come as hosts, without brackets, and ports."""
    settings = RedisSettings(
        url=ServiceUrl.parse("redis://a:1"), topology=RedisTopology.CLUSTER, nodes=("b:2", "[::1]:3")
    )

    assert (("a", 1), ("b", 2), ("::1", 3)) == settings.servers


@pytest.mark.parametrize(
    ("outbox", "dedupe", "replay", "expected"),
    [
        ("7", "8", "7", []),
        ("7", "30", "8", ["EVENTS_REPLAY_DAYS"]),
        ("7", "7", "7", ["EVENTS_DEDUPE_RETENTION_DAYS"]),
        ("7", "8", "8", ["EVENTS_REPLAY_DAYS", "EVENTS_DEDUPE_RETENTION_DAYS"]),
    ],
)
def test_a_replay_is_neither_too_late_nor_twice(
    outbox: str, dedupe: str, replay: str, expected: list[str]
) -> None:
    """What may be replayed is still in the outbox, and that it was done is still remembered."""
    environ = {
        "EVENTS_OUTBOX_RETENTION_DAYS": outbox,
        "EVENTS_DEDUPE_RETENTION_DAYS": dedupe,
        "EVENTS_REPLAY_DAYS": replay,
    }

    assert expected == list(faults(EventsSettings, environ))


@pytest.mark.parametrize(
    ("relay", "handlers", "expected"),
    [
        ("false", "none", ["WORKER_HANDLERS"]),
        ("false", "welcome", []),
        ("false", "", []),
        ("true", "none", []),
    ],
)
def test_a_worker_has_work(relay: str, handlers: str, expected: list[str]) -> None:
    """A worker without the relay and without a handler would do nothing: it is refused."""
    assert expected == list(faults(WorkerSettings, {"WORKER_RELAY": relay, "WORKER_HANDLERS": handlers}))


@pytest.mark.parametrize("origins", ["*", "https://app.choice.test,*"])
def test_production_has_no_wildcard_origin(origins: str) -> None:
    """A wildcard among the CORS origins is refused in production alone."""
    environ = {"CORS_ORIGINS": origins}

    assert (["CORS_ORIGINS"], []) == (
        list(faults(ServerSettings, environ | PRODUCTION)),
        list(faults(ServerSettings, environ)),
    )


@pytest.mark.parametrize(
    ("timeout", "grace", "expected"),
    [
        ("30", "35", []),
        ("31", "35", []),
        ("31.1", "35", ["REQUEST_TIMEOUT_SECONDS"]),
        ("30", "25", ["REQUEST_TIMEOUT_SECONDS"]),
        ("0.8", "1", []),
        ("0.9", "1", ["REQUEST_TIMEOUT_SECONDS"]),
    ],
)
def test_production_waits_for_its_requests(timeout: str, grace: str, expected: list[str]) -> None:
    """A request that comes at the end of the drain has the grace but for its reserve: that must do."""
    environ = {"REQUEST_TIMEOUT_SECONDS": timeout, "SHUTDOWN_GRACE_SECONDS": grace}

    assert (expected, []) == (
        list(faults(ServerSettings, environ | PRODUCTION)),
        list(faults(ServerSettings, environ)),
    )


@pytest.mark.parametrize(
    ("variable", "placeholder"),
    [
        ("DATABASE_URL", "postgresql://sherpa:change-me@db/choice"),
        ("DATABASE_URL", "postgresql://sherpa:xxx@db/choice"),
        ("OPENAI_API_KEY", "sk-xxx"),
        ("ANTHROPIC_API_KEY", "sk-ant-xxxxxxxx"),
        ("STRIPE_API_KEY", "sk_test_xxx"),
        ("STRIPE_API_KEY", "sk_live_your_key_here"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_..."),
        ("STRIPE_WEBHOOK_SECRET", "whsec_<secret>"),
        ("STRIPE_MONTHLY_PRICE_ID", "price_XXX"),
        ("RESEND_API_KEY", "re_placeholder"),
        ("ZITADEL_CLIENT_ID", "CHANGEME"),
    ],
)
def test_production_refuses_placeholders(variable: str, placeholder: str, everything: dict[str, str]) -> None:
    """What stands in for a real value passes in development and stops production, unshown."""
    sections = (DatabaseSettings, AuthSettings, AiSettings, PaymentSettings, EmailSettings)
    environ = everything | {variable: placeholder}

    production = [wrong for section in sections for wrong in faults(section, environ).items()]
    development = [wrong for s in sections for wrong in faults(s, environ | {"ENVIRONMENT": "development"})]

    assert [(variable, "is a placeholder, and this is production")] == production
    assert [] == development


@pytest.mark.parametrize(
    "key", ["sk_live_51MoxxxBy5", "sk_live_xxxQ7", "sk_live_aXXXb", "sk_live_todoist9", "sk_live_Qyour1"]
)
def test_a_random_key_is_no_placeholder(key: str, everything: dict[str, str]) -> None:
    """A key that happens to hold such letters inside a word is a key."""
    assert {} == faults(PaymentSettings, everything | {"STRIPE_API_KEY": key})


def test_an_honest_host_is_no_placeholder() -> None:
    """Words that stand for nothing in a key may well be a site's name."""
    environ = PRODUCTION | {"CORS_ORIGINS": "https://todo.choice.test,https://your-say.test"}

    assert {} == faults(ServerSettings, environ)


def test_production_holds_for_processes_without_a_server() -> None:
    """ENVIRONMENT counts, and must be sound, also for a process that does not ask for its section."""
    environ = {"DATABASE_URL": PG, "ENVIRONMENT": "prod"}

    assert ["ENVIRONMENT"] == list(faults(DatabaseSettings, environ))


def test_lists_and_urls_come_out_tidy() -> None:
    """Origins lose their blanks and capitals, the authority its closing slash."""
    server = load(ServerSettings, environ={"CORS_ORIGINS": " https://App.test ,, http://x:1"}, dotenv=None)
    auth = load(
        AuthSettings,
        environ={"ZITADEL_AUTHORITY": "https://a.test/", "ZITADEL_CLIENT_ID": "1", "ZITADEL_AUDIENCE": "2"},
        dotenv=None,
    )

    assert (("https://app.test", "http://x:1"), "https://a.test") == (server.cors_origins, auth.authority)
