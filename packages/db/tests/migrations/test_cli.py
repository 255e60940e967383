"""The commands as people and containers call them: what they print, what they ask, how they end."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from packages.db.tests.migrations.conftest import Run, Start
from sherpa.config import DatabaseSettings, Secret
from sherpa.db.dsn import describe_server
from sherpa.db.migrations.files import list_files

ALL = [file.id for file in list_files()]


def test_migrate_tells_each_step(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """A line for each migration with its duration, and one that sums up and says where."""
    code, out, err = run("migrate")

    steps = [line.split() for line in out.splitlines() if line[:3].isdigit()]
    assert (0, "") == (code, err)
    assert [[each, "applied", "ms"] for each in ALL] == [
        [name, state, unit] for name, state, _, unit in steps
    ]
    assert out.endswith(f"{len(ALL)} migrations applied in {describe_server(empty_database_settings)}.\n")


def test_second_migrate_says_so(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """With nothing to do the command says so and ends well."""
    run("migrate")

    assert (0, f"Nothing to apply in {describe_server(empty_database_settings)}.\n", "") == run("migrate")


def test_revert_takes_one_step(run: Run, empty_database_settings: DatabaseSettings) -> None:
    """Without a word about how far, `revert` takes back the newest one."""
    run("migrate")

    code, out, err = run("revert")

    assert (0, "") == (code, err)
    assert [ALL[-1], "reverted"] == out.split()[:2]
    assert out.endswith(f"1 migration reverted in {describe_server(empty_database_settings)}.\n")


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ([], "required"),
        (["upgrade"], "invalid choice"),
        (["migrate", "--to", "999"], f"Known: {', '.join(ALL)}"),
        (["migrate", "--to", "0"], f"any of {', '.join(ALL)}"),
        (["revert", "--to", "001"], "not applied"),
        (["revert", "--steps", "0"], "must be 1 or more, not 0"),
        (["revert", "--steps", "many"], "must be 1 or more, not many"),
        (["revert", "--steps", "1", "--to", "001"], "not allowed with"),
        (["migrate", "--lock-wait", "nan"], "must be 0 or more, not nan"),
        (["migrate", "--lock-wait", "soon"], "must be 0 or more, not soon"),
        (["revert", "--lock-wait=-1"], "must be 0 or more, not -1"),
        (["revert", "--all"], "add --yes"),
        (["migrate", "--wait", "-1"], "must be 0 or more, not -1"),
        (["migrations", "--check", "--repair"], "not allowed with"),
        (["migrations", "--json", "--repair"], "no JSON"),
    ],
    ids=" ".join,
)
def test_wrong_use_ends_with_2(arguments: list[str], fact: str, run: Run) -> None:
    """What can't be meant is refused on stderr, with what would be right."""
    code, out, err = run(*arguments)

    assert (2, "") == (code, out)
    assert fact in err


def test_help_ends_well(run: Run) -> None:
    """`--help` lists the commands."""
    code, out, _ = run("--help")

    assert 0 == code
    assert all(command in out for command in ("migrate", "revert", "migrations"))


def test_missing_url_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without DATABASE_URL the command names the variable, and asks for no other secret."""
    monkeypatch.delenv("DATABASE_URL")

    code, out, err = run("migrate")

    assert (1, "") == (code, out)
    assert "DATABASE_URL" in err
    assert "STRIPE" not in err


def test_dry_run_stops_at_the_target(run: Run) -> None:
    """`--to` is the last one whose SQL is shown."""
    code, out, _ = run("migrate", "--dry-run", "--to", ALL[1])

    assert 0 == code
    assert ALL[:2] == [line.split()[1] for line in out.splitlines() if " (forwards)" in line]


@pytest.mark.parametrize("command", ["migrate", "migrate --dry-run", "migrate --baseline 001"])
def test_server_is_waited_for(
    command: str, run: Run, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--wait` a server that is away is waited for, which is told; in the end it says how long."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:hidden@127.0.0.1:{free_port()}/stories")

    code, out, err = run(*command.split(), "--wait", "0.2")

    assert 1 == code
    assert "Waiting for the server: " in out + err
    assert "We waited 0.2 s." in err


def test_secret_is_never_shown(
    run: Run, empty_database_settings: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused password is called that, and neither it nor the right one is printed."""
    url = empty_database_settings.url.replace(password=Secret("not-the-right-one"))
    monkeypatch.setenv("DATABASE_URL", url.reveal())

    code, out, err = run("migrate")

    assert (1, "") == (code, out)
    assert describe_server(empty_database_settings) in err
    assert "password" in err
    assert "not-the-right-one" not in err


def test_all_without_terminal_needs_yes(start: Start, run: Run) -> None:
    """A container can't be asked: `--all` ends at once with what to add, and `--yes` is that."""
    run("migrate")

    asked, confirmed = start("revert", "--all"), start("revert", "--all", "--yes")
    _, fault = asked.communicate()
    out, _ = confirmed.communicate()

    assert (2, 0) == (asked.returncode, confirmed.returncode)
    assert "add --yes" in fault
    assert f"{len(ALL)} migrations reverted" in out


@pytest.mark.parametrize(
    ("answer", "code", "remaining"),
    [(b"y\n", 0, 0), (b"yes\n", 0, 0), (b"n\n", 1, len(ALL)), (b"\n", 1, len(ALL)), (b"\x04", 1, len(ALL))],
    ids=["y", "yes", "n", "enter", "end of input"],
)
def test_all_asks_at_a_terminal(answer: bytes, code: int, remaining: int, start: Start, run: Run) -> None:
    """At a terminal `--all` asks, and only a yes reverts anything."""
    run("migrate")
    ours, theirs = pty.openpty()

    asked = start("revert", "--all", stdin=theirs)
    os.write(ours, answer)
    out, _ = asked.communicate()
    os.close(ours)
    os.close(theirs)

    assert code == asked.returncode
    assert "Go on? [y/N]" in out
    assert remaining == len(
        [row for row in json.loads(run("migrations", "--json")[1])["migrations"] if row["state"] == "applied"]
    )


def test_closed_output_is_no_fault(environment: dict[str, str], tmp_path: Path) -> None:
    """Somebody who stops reading, as `| head` does, does not stop the migrations."""
    reader, writer = os.pipe()
    os.close(reader)

    done = _run_shell('"$0" -m sherpa.db migrate', environment, tmp_path, stdout=writer)
    os.close(writer)

    assert (0, "") == (done.returncode, done.stderr)


def test_absent_streams_are_no_fault(environment: dict[str, str], tmp_path: Path) -> None:
    """Started without output, or without input to ask at, the commands end with the same codes."""
    script = '"$0" -m sherpa.db migrate >&-; echo $? >&2; "$0" -m sherpa.db revert --all <&-; echo $? >&2'

    done = _run_shell(script, environment, tmp_path, stdout=subprocess.DEVNULL)

    assert ["0", "2"] == [line for line in done.stderr.splitlines() if line.isdecimal()]
    assert "add --yes" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full (Linux)")
def test_output_that_is_lost_is_a_failure(environment: dict[str, str], tmp_path: Path) -> None:
    """A list that did not fit on the disk is told as a failure, in one line."""
    with Path("/dev/full").open("w") as full:
        done = _run_shell('"$0" -m sherpa.db migrations --json', environment, tmp_path, stdout=full)

    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert done.stderr.startswith("The output can't be written")


def _run_shell(
    script: str, environment: dict[str, str], folder: Path, *, stdout: int | IO[str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script, sys.executable],
        env=environment,
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
