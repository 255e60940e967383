"""`.env.example`, docs/configuration.md and the loader say the same, in both directions."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sherpa.config import ConfigError, Environment, SslMode
from sherpa.config.declaration import Variable, variables_of
from sherpa.config.examination import examine
from sherpa.config.reference import rewrite
from sherpa.config.report import report
from sherpa.config.sections import SECTIONS
from sherpa.config.sources import Sources

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "configuration.md"

DECLARED = {variable.name: variable for section in SECTIONS.values() for variable in variables_of(section)}
PROMISED = (
    "DATABASE_URL DATABASE_MIN_CONNECTIONS DATABASE_MAX_CONNECTIONS DATABASE_ACQUIRE_TIMEOUT_SECONDS "
    "DATABASE_IDLE_TIMEOUT_SECONDS DATABASE_MAX_LIFETIME_SECONDS DATABASE_SSL_MODE "
    "DATABASE_STATEMENT_CACHE_SIZE REDIS_URL REDIS_POOL_SIZE REDIS_TIMEOUT_SECONDS ZITADEL_AUTHORITY "
    "ZITADEL_CLIENT_ID ZITADEL_AUDIENCE ZITADEL_JWKS_CACHE_SECONDS OPENAI_API_KEY ANTHROPIC_API_KEY "
    "AI_PRIMARY_PROVIDER AI_FALLBACK_PROVIDER AI_TIMEOUT_SECONDS AI_MAX_RETRIES STRIPE_API_KEY "
    "STRIPE_WEBHOOK_SECRET STRIPE_MONTHLY_PRICE_ID STRIPE_ANNUAL_PRICE_ID RESEND_API_KEY EMAIL_FROM "
    "EMAIL_FROM_NAME ENVIRONMENT HOST PORT REQUEST_TIMEOUT_SECONDS CORS_ORIGINS LOG_LEVEL LOG_FORMAT "
    "FEATURE_* "
    "REDIS_TOPOLOGY REDIS_NODES REDIS_SENTINEL_MASTER REDIS_SENTINEL_PASSWORD "
    "EVENTS_PARTITIONS EVENTS_BATCH_SIZE EVENTS_POLL_SECONDS EVENTS_PAYLOAD_BYTES EVENTS_STREAM_MAX_LENGTH "
    "EVENTS_MEMORY_SHARE EVENTS_OUTBOX_RETENTION_DAYS EVENTS_DEDUPE_RETENTION_DAYS EVENTS_REPLAY_DAYS "
    "WORKER_HOST WORKER_PORT WORKER_RELAY WORKER_HANDLERS WORKER_EXPIRY_SECONDS "
    "WORKER_GRACE_SECONDS "
)
# What development has otherwise than the default, or needs and has no default for.
DEVELOPMENT = {
    "ENVIRONMENT": "development",
    "HOST": "127.0.0.1",
    "PORT": "8080",
    "SHUTDOWN_DRAIN_SECONDS": "0",
    "DATABASE_URL": "postgresql://sherpa:change-me@127.0.0.1:5432/choice_sherpa",
    "DATABASE_MAX_CONNECTIONS": "10",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "WORKER_HOST": "127.0.0.1",
    "WORKER_PORT": "8081",
}


class Recorder(Mapping[str, str]):
    """An empty environment that remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def example_lines(*, commented: bool) -> Iterator[tuple[str, str]]:
    """Yield the example's settings, in effect or commented out."""
    mark = "# " if commented else ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(rf"{mark}([A-Z][A-Z_]*\*?)=(.*)", line):
            yield found[1], found[2]


def page_rows() -> dict[str, list[str]]:
    """Return the cells of the page's tables by variable."""
    rows = re.findall(r"^\| `([A-Z_*]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: [cell.strip("` ") for cell in cells.split(" | ")] for name, cells in rows}


def test_the_loader_asks_for_what_is_declared() -> None:
    """Reading all sections looks up every declared variable, its _FILE, and nothing else."""
    environ = Recorder()

    examine(SECTIONS.values(), Sources.open(environ, None))

    names = {name for name, variable in DECLARED.items() if not variable.family}
    assert names | {f"{name}_FILE" for name in names} == environ.asked


def test_every_promised_variable_is_declared() -> None:
    """The names that were agreed on exist, and only three of ours stand beside them."""
    ours = {"SHUTDOWN_DRAIN_SECONDS", "SHUTDOWN_GRACE_SECONDS", "REDIS_SSL_MODE"}

    assert {*PROMISED.split()} | ours == DECLARED.keys()


def test_the_example_has_every_variable_once() -> None:
    """Each variable of the loader stands in `.env.example`, set or commented out, and no other does."""
    names = [name for commented in (False, True) for name, _ in example_lines(commented=commented)]

    assert sorted(DECLARED) == sorted(names)


def test_what_the_example_sets_is_meant_for_development() -> None:
    """The lines in effect are the known differences from the defaults."""
    assert DEVELOPMENT == dict(example_lines(commented=False))


def test_what_the_example_comments_out_is_the_default() -> None:
    """A commented line shows the default; a variable that has none shows its form."""
    shown = {n: text for n, text in example_lines(commented=True) if DECLARED[n].default_text}

    assert {n: DECLARED[n].default_text for n in shown} == shown


def test_the_example_is_enough_for_development() -> None:
    """A copy of it has no faults, no warnings, and leaves every optional section absent."""
    result = report(Sources.open({}, EXAMPLE))

    assert [] == [*result.faults, *result.notices]
    assert {"ai", "auth", "email", "payment"} == result.absent


def test_the_example_never_passes_for_production() -> None:
    """Its password is a placeholder, and production refuses it."""
    sources = Sources.open(
        {"ENVIRONMENT": Environment.PRODUCTION, "DATABASE_SSL_MODE": SslMode.DISABLE}, EXAMPLE
    )

    faults = {fault.variable: fault.wrong for fault in examine([SECTIONS["database"]], sources).faults}

    assert {"DATABASE_URL": "is a placeholder, and this is production"} == faults


def test_the_example_with_everything_uncommented_is_sound() -> None:
    """The forms shown for keys and IDs are of the right kind: filling them in is all there is to do."""
    values = dict(example_lines(commented=True)) | dict(example_lines(commented=False))
    values["FEATURE_EXAMPLE"] = values.pop("FEATURE_*")

    assert () == examine(SECTIONS.values(), Sources.open(values, None)).faults


@pytest.mark.parametrize("variable", DECLARED.values(), ids=DECLARED)
def test_the_page_says_what_the_loader_does(variable: Variable) -> None:
    """Type, default, required and secret of each variable are in the page as the loader has them."""
    expected = [
        variable.kind.name,
        variable.default_text,
        "yes" if variable.required else "",
        "yes" if variable.kind.secret else "",
    ]

    assert expected == page_rows()[variable.name][:4]


def test_the_page_has_no_other_variable() -> None:
    """The page's tables have the loader's variables and no more; its text is as the generator writes it."""
    page = PAGE.read_text(encoding="utf-8")

    assert DECLARED.keys() == page_rows().keys()
    assert page == rewrite(page), "write it anew: python -m sherpa.config.reference docs/configuration.md"


@pytest.mark.parametrize("variable", DECLARED.values(), ids=DECLARED)
def test_required_means_that_loading_fails_without_it(variable: Variable) -> None:
    """A variable is called required exactly when its section can't be had without it."""
    faults = examine([variable.section], Sources.open({"AI_PRIMARY_PROVIDER": "openai"}, None)).faults

    missing = variable.name in {f.variable for f in faults if f.wrong == "is needed, but not set"}
    assert variable.required == missing


def test_every_variable_in_the_pages_text_exists() -> None:
    """The page's prose names no variable that is unknown."""
    names = set(
        re.findall(
            r"\b(?:DATABASE|REDIS|EVENTS|WORKER|AI|SHUTDOWN|CORS|ZITADEL|STRIPE)_[A-Z_]+\b",
            PAGE.read_text("utf-8"),
        )
    )

    assert {"DATABASE_URL_FILE", "STRIPE_API_KEY_FILE"} == names - DECLARED.keys()


def test_the_pages_error_is_the_real_one() -> None:
    """The error that the page shows is what the loader says."""
    quoted = re.findall(r"^  (PORT: .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    faults = examine([SECTIONS["server"]], Sources.open({"PORT": "80x"}, None)).faults

    assert quoted == [
        line.strip().replace("environment]", ".env line 9]")
        for line in str(ConfigError(faults)).splitlines()[1:]
    ]
