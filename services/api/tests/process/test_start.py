"""A process that cannot start says why in one line, without a traceback or a secret, and exits 1 or 2."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from sherpa.config import DatabaseSettings, RedisSettings


def only_critical(served: Any) -> dict[str, Any]:
    """Return the one critical line that there must be."""
    (line,) = (event for event in served.events if event["level"] == "critical")
    assert "exception" not in line
    return dict(line)


def test_taken_port_is_named(start: Any, product: Any) -> None:
    """The message names the port and the ways out, whoever has it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        served = start(product, PORT=str(port))
        code = served.exit_code()

    line = only_critical(served)
    assert 3 == code
    assert f"Port {port} on 127.0.0.1 is taken" in line["event"]
    assert "PORT" in line["event"]


def test_port_is_never_shared(start: Any, start_alone: Any) -> None:
    """A second process of ours is refused, too: the kernel would let the two share, and mix requests."""
    first = start_alone()

    second = start(PORT=str(first.port))

    assert 3 == second.exit_code()
    assert "is taken" in only_critical(second)["event"]
    assert 200 == first.ask("/health/live").status


def test_address_of_another_machine_is_named(start: Any, product: Any) -> None:
    """A HOST that this machine has not is a matter of the settings."""
    served = start(product, HOST="192.0.2.1")

    assert 1 == served.exit_code()
    assert "HOST is 192.0.2.1" in only_critical(served)["event"]


def test_wrong_settings_are_told_all_at_once(start: Any, product: Any) -> None:
    """Before logging is set up the faults go to standard error as they are; exit code 2."""
    served = start(product, DATABASE_URL="mysql://x:hunter2@host/db", REDIS_URL="", LOG_LEVEL="loud")

    code = served.exit_code()

    assert 2 == code
    for name in ("DATABASE_URL", "REDIS_URL", "LOG_LEVEL"):
        assert name in served.text
    assert "Traceback" not in served.text
    assert "hunter2" not in served.text


def test_wrong_argument_is_wrong_use(start: Any, product: Any) -> None:
    """An unknown argument is answered with the usage; exit code 2."""
    served = start([*product, "--port"])

    assert 2 == served.exit_code()
    assert "usage: python -m sherpa.api" in served.text


def test_reload_is_refused_in_production(start: Any, product: Any) -> None:
    """Watching files is for developers."""
    served = start(
        [*product, "--reload"],
        ENVIRONMENT="production",
        DATABASE_SSL_MODE="disable",
        REDIS_SSL_MODE="disable",
    )

    assert 2 == served.exit_code()
    assert "--reload is for development" in only_critical(served)["event"]


def test_refused_login_ends_the_start(
    start: Any, product: Any, database_settings: DatabaseSettings, redis_url: str
) -> None:
    """A wrong password for PostgreSQL is not waited out: the process ends at once, saying what to correct."""
    url = database_settings.url.reveal().replace(str(database_settings.url.password.reveal()), "hunter2")  # type: ignore[union-attr] # it has one

    served = start(product, DATABASE_URL=url, REDIS_URL=redis_url)

    assert 1 == served.exit_code()
    assert "DATABASE_URL" in only_critical(served)["event"]
    assert "hunter2" not in served.text
    assert "Unexpected exit from worker" not in served.text


def test_refusal_by_redis_ends_the_start(
    start: Any, product: Any, database_settings: DatabaseSettings, redis_settings: RedisSettings
) -> None:
    """A wrong password for Redis is a wrong setting, unlike a Redis that is away."""
    url = redis_settings.url.reveal().replace(str(redis_settings.url.password.reveal()), "hunter2")  # type: ignore[union-attr] # it has one

    served = start(product, DATABASE_URL=database_settings.url.reveal(), REDIS_URL=url)

    assert 1 == served.exit_code()
    assert "REDIS_URL" in only_critical(served)["event"]
    assert "hunter2" not in served.text


def test_redis_away_is_a_warning(start: Any, product: Any, addresses: dict[str, str]) -> None:
    """A restart during an outage of Redis must not take the API down."""
    served = start(product, **{**addresses, "REDIS_URL": "redis://:hunter2@127.0.0.1:1/0"})

    answer = served.wait_until_state("degraded")

    assert (200, "down") == (answer.status, answer.json["checks"]["redis"]["status"])
    assert served.has_logged("Redis is away; starting without it")
    assert "hunter2" not in served.text


def test_probes_are_answered_while_postgresql_is_waited_for(start: Any, product: Any) -> None:
    """A process that starts is alive, not ready, and serves nothing yet."""
    served = start(product).wait_until_logged("database not ready")

    live, ready, startup, other = (
        served.ask(target) for target in ("/health/live", "/health/ready", "/health/startup", "/")
    )

    assert (200, {"status": "alive"}) == (live.status, live.json)
    assert (503, {"status": "starting"}) == (ready.status, ready.json)
    assert (503, {"status": "starting"}) == (startup.status, startup.json)
    assert (503, "urn:choice-sherpa:problem:still-starting") == (other.status, other.json["type"])


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_no_harm(start: Any, product: Any, closed: str) -> None:
    """A process without standard streams serves, and ends well: no file of its own takes their place."""
    served = start(["/bin/sh", "-c", f'exec "$0" "$@" {closed}', *product])
    served.wait_until(lambda: is_listening(served.port), "the port")

    live = served.ask("/health/live")
    served.signal()

    assert (200, 0) == (live.status, served.exit_code())


def is_listening(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


UNREAD_PIPE = """
import os, sys
reading, writing = os.pipe()
os.set_inheritable(reading, True)
os.dup2(writing, 1)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_log_that_nobody_reads_holds_nothing_up(start: Any, product: Any) -> None:
    """A full pipe costs lines of the log: requests are served, and the process stops as told."""
    served = start([product[0], "-c", UNREAD_PIPE, *product], LOG_LEVEL="debug")
    served.wait_until(lambda: is_listening(served.port), "the port")

    with served.wire() as wire:
        statuses = {wire.request("/health/" + "x" * 4_000).answer().status for _ in range(100)}
    served.signal()

    assert {503, 404} >= statuses
    assert 0 == served.exit_code()


@pytest.mark.parametrize("style", ["console", "json"])
def test_every_line_has_the_chosen_shape(
    start: Any, addresses: dict[str, str], product: Any, style: str
) -> None:
    """From the first line to the last the log is JSON, or lines for eyes, foreign lines included."""
    served = start(product, **addresses, LOG_FORMAT=style, LOG_LEVEL="debug")
    served.wait_until(lambda: "serving" in served.text, "the start")

    served.ask("/nowhere")
    served.signal()
    code = served.exit_code()

    lines = served.text.splitlines()
    assert 0 == code
    assert all(is_json(line) == (style == "json") for line in lines)


def is_json(line: str) -> bool:
    """Tell whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@pytest.mark.parametrize(("directives", "shown"), [("info", False), ("info,granian=debug", True)])
def test_lines_of_the_server_below_are_for_who_asks(
    start: Any, directives: str, shown: bool, product: Any
) -> None:
    """The server below repeats what we say: its lines come by its name in LOG_LEVEL, in our shape."""
    served = start(product, LOG_LEVEL=directives).wait_until_logged("listening")
    served.wait_until_logged("database not ready")

    loggers = {event["logger"] for event in served.events}
    assert shown == ("_granian" in loggers)


def test_settings_come_from_the_folder(
    start: Any, product: Any, addresses: dict[str, str], tmp_path: Path
) -> None:
    """A `.env` in the working directory is read, and what the process environment says wins."""
    (tmp_path / ".env").write_text("LOG_LEVEL=debug\nREQUEST_TIMEOUT_SECONDS=7\n")

    served = start(product, **addresses).wait_until_logged("serving")

    assert 200 == served.ask("/health/ready").status
