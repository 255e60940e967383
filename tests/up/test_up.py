"""One command brings everything up, a second run changes nothing, and `down` ends it."""

import http.client
import os
import re
import stat
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

from sherpa.db.migrations.files import list_files
from sherpa.devstack import memory
from sherpa.devstack.backends.backend import BackendName
from tests.up.conftest import Checkout

KNOWN = [file.id for file in list_files()]


def get(url: str, path: str) -> int:
    """The status of one request to the API."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_day_with_the_stack(checkout: Checkout) -> None:
    """From a clone to a serving stack, again without a change, stopped and back with its data, and gone."""
    first = checkout.up()
    running = checkout.status()
    settings, pids = checkout.settings(), checkout.pids()
    assert "The stack is up (backend: embedded)" in first
    assert running["well"] is True
    assert running["migrations"] == {"applied": KNOWN, "pending": []}
    assert get(running["services"]["api"]["url"], "/health/ready") == 200
    assert get(running["services"]["worker"]["url"], "/health/ready") == 200
    assert stat.S_IMODE((checkout.root / ".env").stat().st_mode) == 0o600

    second = checkout.up()
    assert "was up already, and nothing was changed" in second
    assert (checkout.settings(), checkout.pids()) == (settings, pids)

    checkout.query("CREATE TABLE kept AS SELECT 42 AS answer")
    assert checkout.inv("redis-cli", "--command", "set kept 42").returncode == 0
    assert checkout.inv("down").returncode == 0
    stopped = checkout.status()
    assert stopped["well"] is False
    assert {each["pid"] for each in stopped["services"].values()} == {None}

    checkout.up("--no-api")
    assert "42" in checkout.query("SELECT answer FROM kept")
    assert "42" in checkout.inv("redis-cli", "--command", "get kept").stdout
    assert checkout.pids()["api"] is None
    assert checkout.pids()["worker"] is None

    assert checkout.inv("down", "--volumes").returncode == 0
    checkout.up("--no-api")
    assert "0" in checkout.query("SELECT count(*) FROM pg_tables WHERE tablename = 'kept'")
    assert checkout.settings() == settings


def test_what_runs_is_asked_and_not_docker(checkout: Checkout, tmp_path: Path) -> None:
    """While everything answers, `up` asks neither Docker nor Compose, even for a stack that lives there."""
    checkout.up("--no-api")
    memory.remember(checkout.root, BackendName.DOCKER)
    for program in ("docker", "docker-compose"):
        (tmp_path / program).write_text(f"#!/bin/sh\ntouch '{tmp_path}/asked'\nexit 1\n")
        (tmp_path / program).chmod(0o755)

    again = checkout.inv("up", "--no-api", environment={"PATH": f"{tmp_path}:{checkout.environment['PATH']}"})

    memory.remember(checkout.root, BackendName.EMBEDDED)
    assert (0, False) == (again.returncode, (tmp_path / "asked").exists()), again.stdout + again.stderr
    assert "was up already, and nothing was changed (backend: docker)" in again.stdout


def test_missing_database_is_made(checkout: Checkout) -> None:
    """A database that isn't in the running server yet is created there, and migrated; the other one stays."""
    checkout.up("--no-api")
    checkout.replace("/choice_sherpa", '/another%20"one"')

    said = checkout.up("--no-api")

    assert 'database another "one" created' in said
    assert f"{len(KNOWN)} migrations applied" in said
    assert checkout.status()["well"] is False
    assert "2" in checkout.query(
        "SELECT count(*) FROM pg_database WHERE datname IN ('choice_sherpa', current_database())"
    )


def test_status_describes_each_process(checkout: Checkout) -> None:
    """State, pid, port, version and health of each process, and the migrations; as text and as JSON."""
    checkout.up()

    description = checkout.status()
    text = checkout.inv("status")

    services = description["services"]
    assert {("running", "ok", None)} == {(s["state"], s["health"], s["container"]) for s in services.values()}
    assert all(psutil.pid_exists(service["pid"]) for service in services.values())
    assert all(str(service["port"]) in checkout.settings() for service in services.values())
    assert services["postgres"]["version"].startswith("16.")
    assert services["redis"]["version"].startswith("Valkey ")
    assert services["api"]["version"] == version("sherpa-api")
    assert all(service["milliseconds"] > 0 for service in services.values())
    assert 0 == text.returncode
    assert all(f"pid {service['pid']} " in text.stdout for service in services.values())
    assert f"schema: {len(KNOWN)} applied (newest {KNOWN[-1]}), at head" in text.stdout


def test_schema_of_another_branch_is_told(checkout: Checkout) -> None:
    """What is applied and unknown here is no head: it is named; `up`, with one pending, ends with 4."""
    checkout.up("--no-api")
    newer = "INSERT INTO migration (name, app_name, ran_on) VALUES ('999_newer', 'sherpa', now())"
    checkout.inv("psql", "--command", newer)

    status, doctor = checkout.inv("status").stdout, checkout.inv("doctor").stdout
    checkout.inv("psql", "--command", f"DELETE FROM migration WHERE name = '{KNOWN[-1]}'")
    again = checkout.inv("up", "--no-api")

    assert f"{len(KNOWN) + 1} applied (newest 999_newer), 1 unknown to this code (999_newer)\n" in status
    assert "schema: applied, and unknown to this code: 999_newer\n" in doctor
    assert (4, True) == (again.returncode, "999_newer" in again.stderr)


def test_exit_codes_pass_on_what_failed(checkout: Checkout) -> None:
    """A wrong statement, a wrong command and a machine with something wrong on it end with 1."""
    checkout.up("--no-api")

    well = [checkout.inv(*command).returncode for command in (("psql", "--command", "SELECT 1"), ("doctor",))]
    (checkout.root / ".env.example").unlink()
    failed = [
        checkout.inv(*command).returncode
        for command in (
            ("psql", "--command", "SELECT nothing"),
            ("redis-cli", "--command", "nonsense"),
            ("doctor",),
        )
    ]

    assert ([0, 0], [1, 1, 1]) == (well, failed)


def test_ends_with_a_table(checkout: Checkout) -> None:
    """`up` says what runs, where, which backend and why, and how to stop it; each step has its duration."""
    said = checkout.up("--no-api")

    assert re.search(r"ok  postgres and redis started \(embedded\)  \d+\.\d\d s", said)
    assert "backend embedded: Docker is" in said
    assert re.search(
        r"^  postgres  postgresql://sherpa:\*\*\*@127\.0\.0\.1:\d+/choice_sherpa  PostgreSQL 16",
        said,
        re.MULTILINE,
    )
    assert re.search(r"^  redis     redis://127\.0\.0\.1:\d+/0 +Valkey", said, re.MULTILINE)
    assert "stop: uv run inv down" in said
    assert "\x1b" not in said


def test_says_nothing_secret(checkout: Checkout) -> None:
    """No command shows the password, nor is it in a log."""
    checkout.up()
    password = checkout.settings().split("sherpa:")[1].split("@")[0]
    for command in (["status"], ["status", "--json"], ["doctor"], ["doctor", "--json"], ["logs"]):
        checkout.inv(*command)

    assert len(checkout.ended) == 6
    assert not [ended.args for ended in checkout.ended if password in ended.stdout + ended.stderr]


def test_shows_logs(checkout: Checkout) -> None:
    """`inv logs` shows every process's log, labelled, and `inv logs SERVICE` one of them."""
    checkout.up()

    everything = checkout.inv("logs")
    one = checkout.inv("logs", "redis")

    assert re.search(r"^postgres \| .*database system is ready", everything.stdout, re.MULTILINE)
    assert re.search(r"^redis    \| .*Ready to accept connections", everything.stdout, re.MULTILINE)
    assert re.search(r"^api      \| .*serving", everything.stdout, re.MULTILINE)
    assert "Ready to accept connections" in one.stdout
    assert "database system" not in one.stdout


def test_wrong_use_exits_with_two(checkout: Checkout) -> None:
    """A backend or a service that doesn't exist is wrong use, and the error names those that do."""
    backend = checkout.inv("up", "--backend", "podman")
    service = checkout.inv("logs", "mysql")

    assert (backend.returncode, service.returncode) == (2, 2)
    assert "auto, docker, embedded, external" in backend.stderr
    assert "postgres, redis, api" in service.stderr


def test_before_the_first_up(checkout: Checkout) -> None:
    """Commands that need a stack say that there is none yet; `down` has nothing to do."""
    codes = {
        command: checkout.inv(command).returncode
        for command in ("status", "psql", "redis-cli", "logs", "serve")
    }

    assert set(codes.values()) == {1}
    assert all("uv run inv up" in ended.stderr for ended in checkout.ended)
    assert checkout.inv("down").returncode == 0


def test_says_what_is_missing_in_words(checkout: Checkout) -> None:
    """What isn't well is told in words, and the clients of a stopped stack say what starts it."""
    checkout.up()
    checkout.inv("revert")

    behind = checkout.status()
    checkout.inv("down")
    stopped = checkout.status()
    clients = [checkout.inv("psql"), checkout.inv("redis-cli", "--command", "ping")]

    assert behind["services"]["api"]["health"] == "unavailable (postgresql up, schema behind, redis up)"
    assert {"nobody listens there"} == {stopped["services"][each]["health"] for each in ("postgres", "redis")}
    assert [(1, True)] * 2 == [(each.returncode, "uv run inv up" in each.stderr) for each in clients]


def test_any_folder_below_will_do(checkout: Checkout) -> None:
    """In a subfolder, `inv` means the same checkout and the same `.env`."""
    checkout.up("--no-api")
    below = checkout.root / "packages" / "db"
    below.mkdir(parents=True)

    listed = _run_in(below, checkout, "migrations")

    assert (0, True) == (listed.returncode, f"{len(KNOWN)} applied, 0 pending" in listed.stdout)


def test_the_worker_may_be_left_out(checkout: Checkout) -> None:
    """`--no-worker` runs the API alone; the next `up` adds the worker, whose log can be read."""
    checkout.up("--no-worker")
    without = checkout.pids()

    said = checkout.up()

    after = checkout.pids()
    assert (True, None) == (without["api"] is not None, without["worker"])
    assert (True, True) == (after["api"] == without["api"], after["worker"] is not None)
    assert "worker ready" in said
    assert "listening" in checkout.inv("logs", "worker").stdout


def test_reader_may_stop_reading(checkout: Checkout) -> None:
    """`inv … | head` ends without a word of complaint."""
    checkout.up("--no-api")
    reading, writing = os.pipe()
    os.close(reading)

    ended = [
        _run_in(checkout.root, checkout, command, output=writing)
        for command in ("config", "doctor", "logs", "status")
    ]

    os.close(writing)
    assert [""] * 4 == [each.stderr for each in ended]


def _run_in(
    folder: Path, checkout: Checkout, command: str, *, output: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", command],
        cwd=folder,
        env=dict(checkout.environment),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
