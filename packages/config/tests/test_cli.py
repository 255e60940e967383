"""`python -m sherpa.config`: what is in effect, where it came from, what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sherpa.config.cli import main
from sherpa.config.declaration import variables_of
from sherpa.config.sections import SECTIONS

SOUND = "DATABASE_URL=postgresql://sherpa:wonderland@db/choice\nREDIS_URL=redis://h\n"


@pytest.fixture(autouse=True)
def _sound() -> None:
    """Start from a `.env` with all that development needs."""
    Path(".env").write_text(SOUND)


def test_shows_every_variable_with_its_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has each variable's value and its origin: environment, a file, `.env` or the default."""
    Path("key").write_text("sk-ant-wonderland")
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", "key")

    code = main([])
    rows = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line[:1] == " "
    }

    assert 0 == code
    assert {v.name for s in SECTIONS.values() for v in variables_of(s) if not v.family} == rows.keys()
    assert ["9000", "environment"] == rows["PORT"]
    assert ["***", "ANTHROPIC_API_KEY_FILE", "(key)"] == rows["ANTHROPIC_API_KEY"]
    assert ["postgresql://sherpa:***@db:5432/choice", ".env", "line", "1"] == rows["DATABASE_URL"]
    assert ["20", "default"] == rows["DATABASE_MAX_CONNECTIONS"]
    assert ["-", "not", "set"] == rows["RESEND_API_KEY"]


def test_json_has_the_same(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json stdout is one JSON document with the sections, the faults and the warnings."""
    monkeypatch.setenv("FEATURE_DARK_MODE", "true")
    monkeypatch.setenv("DATABSE_URL", "wonderland")

    code = main(["--json"])
    output = json.loads(capsys.readouterr().out)

    assert (0, list(SECTIONS), []) == (code, list(output["sections"]), output["faults"])
    assert {
        "value": "postgresql://sherpa:***@db:5432/choice",
        "origin": ".env line 1",
        "secret": True,
        "sound": True,
    } == output["sections"]["database"]["DATABASE_URL"]
    assert ["FEATURE_DARK_MODE"] == list(output["sections"]["features"])
    assert ["ai", "auth", "email", "payment"] == output["absent"]
    assert ["DATABSE_URL (environment) is not known: did you mean DATABASE_URL?"] == output["warnings"]


def test_faults_are_listed_and_the_rest_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With faults the exit code is 1, each is told on stderr, and the table is still there."""
    Path(".env").write_text("DATABASE_URL=mysql://sherpa:wonderland@db/choice\nPORT=80x\n")
    monkeypatch.setenv("STRIPE_API_KEY", "pk_wonderland")

    code = main([])
    captured = capsys.readouterr()

    assert 1 == code
    told = [line.split()[1].rstrip(":") for line in captured.err.splitlines() if "is needed" not in line]
    assert ["PORT", "DATABASE_URL", "STRIPE_API_KEY"] == told
    assert "DATABASE_MAX_CONNECTIONS" in captured.out
    assert "80x" in captured.out
    assert "wonderland" not in captured.out + captured.err


def test_a_fresh_clone_is_told_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    """Without any setting, just what the project can't run without is missing."""
    Path(".env").unlink()

    code = main(["--json"])

    faults = json.loads(capsys.readouterr().out)["faults"]
    assert (1, ["DATABASE_URL", "REDIS_URL"]) == (code, [fault["variable"] for fault in faults])


def test_a_begun_section_must_be_complete(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Setting one of an optional section's variables asks for the others."""
    monkeypatch.setenv("RESEND_API_KEY", "re_1")

    code = main([])

    assert (1, True) == (code, "EMAIL_FROM: is needed" in capsys.readouterr().err)


def test_named_sections_are_held_to_be_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """Naming a section shows it alone and asks for all that it requires."""
    codes = [main(["--json", "redis"]), main(["auth"])]
    captured = capsys.readouterr()

    assert [0, 1] == codes
    assert "DATABASE_URL" not in captured.out
    assert "ZITADEL_AUTHORITY: is needed" in captured.err


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), (["--wrong"], 2), (["nonsense"], 2)])
def test_wrong_use_is_2(argv: list[str], code: int) -> None:
    """Help is well, an unknown option or section is wrong use."""
    assert code == main(argv)


def test_another_file_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """--dotenv reads another file than ./.env."""
    Path("other").write_text("PORT=9000\n" + SOUND)

    code = main(["--dotenv", "other", "server"])

    assert (0, True) == (code, "other line 1" in capsys.readouterr().out)


@pytest.mark.parametrize("argv", [[], ["--json"]])
def test_any_terminal_can_show_it(argv: list[str]) -> None:
    """A terminal without the letters of a value shows them escaped."""
    Path(".env").write_text(SOUND + "RESEND_API_KEY=re_1\nEMAIL_FROM=a@b.test\nEMAIL_FROM_NAME=Zoë\n")
    command = [sys.executable, "-m", "sherpa.config", *argv]
    environ = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}

    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert ("Zo\\xeb" in done.stdout, "Zo\\u00eb" in done.stdout) == (not argv, bool(argv))


def test_runs_as_a_module() -> None:
    """`python -m sherpa.config` is the command, exit code and all."""
    environ = {"PATH": os.environ["PATH"], "PORT": "80x"}

    done = subprocess.run(
        [sys.executable, "-m", "sherpa.config"], env=environ, capture_output=True, text=True, check=False
    )

    assert 1 == done.returncode
    assert done.stderr.startswith("fault: PORT: '80x': not a valid integer [environment].")
