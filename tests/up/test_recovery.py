"""Whatever was killed, cut off, broken or changed: the next `up` goes on from there, or says what to do."""

import os
import random
import signal
import time
from typing import IO

import psutil
import pytest

from tests.up.conftest import PATIENCE_SECONDS, Checkout, interrupt


def kill(pid: int | None) -> None:
    """Kill -9, and wait until it is gone."""
    assert pid
    process = psutil.Process(pid)
    process.kill()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)


def test_killed_processes_come_back(checkout: Checkout) -> None:
    """After kill -9 of all three, `status` says so and fails, and `up` has them back with their data."""
    checkout.up()
    checkout.query("CREATE TABLE kept AS SELECT 42 AS answer")
    before = checkout.pids()
    for pid in before.values():
        kill(pid)

    broken = checkout.inv("status")
    checkout.up()

    assert broken.returncode == 1
    assert broken.stdout.count("stopped") >= 3
    assert not set(before.values()) & set(checkout.pids().values())
    assert "42" in checkout.query("SELECT answer FROM kept")


def test_only_what_is_missing_is_started(checkout: Checkout) -> None:
    """With one server killed and the API suspended, all but the killed one go on as they were."""
    checkout.up()
    before = checkout.pids()
    kill(before["redis"])
    assert before["api"]
    os.kill(before["api"], signal.SIGSTOP)

    checkout.up()

    after = checkout.pids()
    assert (after["postgres"], after["api"]) == (before["postgres"], before["api"])
    assert after["redis"] not in {None, before["redis"]}


def test_suspended_server_goes_on(checkout: Checkout) -> None:
    """A server that was suspended (SIGSTOP) is what the doctor finds, and the next `up` lets it go on."""
    checkout.up("--no-api")
    before = checkout.pids()
    assert before["postgres"]
    os.kill(before["postgres"], signal.SIGSTOP)

    examined = checkout.inv("doctor")
    checkout.up("--no-api")

    assert examined.returncode == 1
    assert "postgres: runs, but doesn't serve (no answer in time)" in examined.stdout
    assert before == checkout.pids()


def test_two_at_once_both_end_well(checkout: Checkout) -> None:
    """Of two `up` at the same time one works and the other waits, says so, and finds everything running."""
    runs = [checkout.begin("up"), checkout.begin("up")]

    said = [run.communicate(timeout=PATIENCE_SECONDS)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], said
    assert sum("was up already, and nothing was changed" in each for each in said) == 1
    assert sum("works on this stack: waiting for it" in each for each in said) == 1
    assert checkout.status()["well"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_cut_off_anywhere_is_continued(checkout: Checkout, number: signal.Signals) -> None:
    """Cut off again and again at random moments, with and without data, `up` ends well in the end."""
    moments = random.Random(number)
    for _ in range(4):
        run = checkout.begin("up")
        checkout.await_turn(run)
        said = interrupt(run, number, after=moments.uniform(0, 1.0))
        assert "Traceback" not in said, said

    checkout.up()

    assert checkout.status()["well"] is True


def test_wrong_settings_are_all_told(checkout: Checkout) -> None:
    """A broken `.env` fails with every fault, its variable and nothing secret; `down` works all the same."""
    checkout.up("--no-api")
    pid = checkout.pids()["postgres"]
    checkout.replace("PORT=", "PORT=eighty")
    checkout.replace("postgresql://sherpa:", "mysql://sherpa:topsecret")

    failed = checkout.inv("up")
    stopped = checkout.inv("down")

    assert failed.returncode == 1
    assert "PORT" in failed.stderr
    assert "DATABASE_URL" in failed.stderr
    assert "topsecret" not in failed.stdout + failed.stderr
    assert stopped.returncode == 0, stopped.stderr
    assert pid
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_other_password_is_explained(checkout: Checkout) -> None:
    """A password that was changed in `.env` alone is told as such; nothing is started or deleted for it."""
    checkout.up("--no-api")
    before = checkout.settings()
    checkout.replace("postgresql://sherpa:", "postgresql://sherpa:other")

    failed = checkout.inv("up", "--no-api")

    assert failed.returncode == 1
    assert "refuses the login in DATABASE_URL" in failed.stderr
    assert "uv run inv down --volumes" in failed.stderr
    (checkout.root / ".env").write_text(before)
    assert "nothing was changed" in checkout.up("--no-api")


def test_lost_settings_are_told(checkout: Checkout) -> None:
    """With `.env` deleted no new password is made up for data that has one; put back, everything goes on."""
    checkout.up("--no-api")
    before = checkout.settings()
    (checkout.root / ".env").unlink()

    failed = checkout.inv("up", "--no-api")

    assert failed.returncode == 1
    assert ".env is gone, and with it the password of this stack's database" in failed.stderr
    assert not (checkout.root / ".env").exists()
    (checkout.root / ".env").write_text(before)
    assert "nothing was changed" in checkout.up("--no-api")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("HOST=127", "DATABASE_SSL_MODE=require\nHOST=127", "own postgres can't speak"),
        ("REDIS_URL=redis://", "REDIS_URL=rediss://", "own redis can't speak"),
    ],
    ids=["postgres", "redis"],
)
def test_tls_of_our_own_servers_is_told_at_once(
    checkout: Checkout, before: str, after: str, told: str
) -> None:
    """Settings that ask for TLS, which servers of our own don't have, are told; nothing is waited for."""
    checkout.write_settings()
    checkout.replace(before, after)

    failed = checkout.inv("up", "--no-api")

    assert failed.returncode == 1
    assert told in failed.stderr
    assert "DATABASE_SSL_MODE=disable" in failed.stderr


def test_api_that_ends_shows_its_log(checkout: Checkout) -> None:
    """When the API can't start, `up` fails with the end of its log; the servers go on."""
    checkout.up("--no-api")
    checkout.replace("HOST=127.0.0.1", "HOST=192.0.2.1")

    failed = checkout.inv("up")

    assert failed.returncode == 1
    assert "The API ended while it started" in failed.stderr
    assert "192.0.2.1" in failed.stderr
    assert "uv run inv logs api" in failed.stderr
    assert "nothing was changed" in checkout.up("--no-api")


def test_changed_settings_restart_the_api(checkout: Checkout) -> None:
    """After a change of `.env` the next `up` restarts the API, and only the API."""
    checkout.up()
    before = checkout.pids()
    with (checkout.root / ".env").open("a") as settings:
        settings.write("LOG_LEVEL=debug\n")

    said = checkout.up()

    after = checkout.pids()
    assert "restarting the API, since .env was changed" in said
    assert after["api"] != before["api"]
    assert (after["postgres"], after["redis"]) == (before["postgres"], before["redis"])


def test_backends_do_not_mix(checkout: Checkout) -> None:
    """While one backend runs, another one doesn't take over; `up` says how to change."""
    checkout.up("--no-api")

    failed = checkout.inv("up", "--backend", "external")

    (checkout.root / ".sherpa" / "stack.json").unlink()
    unseen = checkout.inv("up", "--backend", "external")

    assert failed.returncode == 1
    assert "runs with the embedded backend (postgres, redis)" in failed.stderr
    assert "uv run inv down && uv run inv up --backend external" in failed.stderr
    assert unseen.returncode == 1
    assert "answer, but not by the external backend" in unseen.stderr
    assert "was up already, and nothing was changed (backend: embedded)" in checkout.up("--no-api")


def test_absent_docker_is_an_error_when_asked_for(checkout: Checkout) -> None:
    """`--backend docker` without Docker fails with the reason and the other way; nothing is started."""
    failed = checkout.inv("up", "--backend", "docker")

    assert failed.returncode == 1
    assert "Docker" in failed.stderr
    assert "uv run inv up --backend embedded" in failed.stderr


def test_serve_takes_over_and_ends(checkout: Checkout) -> None:
    """`inv serve` runs the API in the foreground in place of the background one; Ctrl-C ends it with 0."""
    checkout.up()
    serving = checkout.begin("serve")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answers := checkout.status()["services"]["api"]["health"] == "not this stack's"):
        assert time.monotonic() < deadline

    said = interrupt(serving, signal.SIGINT, after=0)

    assert answers
    assert "The API that ran in the background was stopped." in said
    assert serving.returncode == 0, said


def test_follows_logs_until_interrupted(checkout: Checkout) -> None:
    """`inv logs --follow` shows what is there and what comes, and Ctrl-C ends it well."""
    checkout.up("--no-api")
    following = checkout.begin("logs", "redis", "--follow")
    assert following.stdout
    shown = await_line(following.stdout, "Ready to accept connections")
    assert checkout.inv("redis-cli", "--command", "save").returncode == 0
    came = await_line(following.stdout, "DB saved on disk")

    interrupt(following, signal.SIGINT, after=0)

    assert shown
    assert came
    assert following.returncode == 0


def await_line(stream: IO[str], text: str) -> bool:
    """Read until a line has this text; False when the stream ends before."""
    return any(text in line for line in stream)
