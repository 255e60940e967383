"""The doctor finds what is wrong, and every finding that isn't well has the command that mends it."""

import io
import json
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sherpa.devstack import envfile, memory, ports
from sherpa.devstack.backends.backend import BackendName
from sherpa.devstack.doctor.examination import examine
from sherpa.devstack.stack import state_directory

EXAMPLE = """\
HOST=127.0.0.1
PORT={}
DATABASE_URL=postgresql://sherpa:change-me@127.0.0.1:{}/choice_sherpa
REDIS_URL=redis://127.0.0.1:{}/0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with an `.env`, in which nothing runs."""
    api, postgres, redis = ports.any_free(), ports.any_free(), ports.any_free()
    (tmp_path / ".env.example").write_text(EXAMPLE.format(api, postgres, redis))
    envfile.create(tmp_path)
    memory.remember(tmp_path, BackendName.EMBEDDED)
    return tmp_path


def findings(root: Path) -> Mapping[str, Mapping[str, str]]:
    """What the doctor says in JSON, by subject."""
    out = io.StringIO()
    code = examine(root, out, as_json=True)
    answer = json.loads(out.getvalue())
    assert code == (0 if answer["well"] else 1)
    assert all(each["remedy"] for each in answer["findings"] if each["level"] != "ok")
    return {each["subject"]: each for each in answer["findings"]}


def test_well_checkout(root: Path) -> None:
    """Where nothing is wrong, nothing is to be mended; what doesn't run can be started."""
    found = findings(root)

    assert not [each for each in found.values() if each["level"] == "failure"]
    assert {found[name]["remedy"] for name in ("postgres", "redis", "api")} == {"uv run inv up"}


def test_changes_nothing(root: Path) -> None:
    """An examination leaves the checkout as it is, even one that was never brought up."""
    (root / ".env").unlink()
    shutil.rmtree(root / ".sherpa")

    found = findings(root)

    assert [path.name for path in root.iterdir()] == [".env.example"]
    assert found[".env"]["remedy"] == found["state"]["remedy"] == "uv run inv up"


def test_open_settings_are_closed_by_the_remedy(root: Path) -> None:
    """An `.env` that others can read is found, and the command that is given mends it."""
    (root / ".env").chmod(0o644)

    found = findings(root)[".env"]
    subprocess.run(shlex.split(found["remedy"]), check=True)

    assert found["level"] == "warning"
    assert findings(root)[".env"]["level"] == "ok"


def test_open_state_is_closed_by_the_remedy(root: Path) -> None:
    """A state folder that others can look into is found, and the command that is given mends it."""
    state_directory(root).chmod(0o755)

    found = findings(root)["state"]
    subprocess.run(shlex.split(found["remedy"]), check=True)

    assert found["level"] == "warning"
    assert findings(root)["state"]["level"] == "ok"


def test_wrong_settings_are_named(root: Path) -> None:
    """Every fault of `.env` is told, and no secret."""
    (root / ".env").write_text(
        (root / ".env").read_text().replace("PORT=", "PORT=x").replace("redis://", "http://")
    )
    password = (root / ".env").read_text().split("sherpa:")[1].split("@")[0]

    found = findings(root)["settings"]

    assert found["level"] == "failure"
    assert "PORT" in found["text"]
    assert "REDIS_URL" in found["text"]
    assert password not in found["text"]


def test_missing_example_is_named(root: Path) -> None:
    """A missing `.env.example` is brought back by git."""
    (root / ".env.example").unlink()

    assert findings(root)[".env.example"]["remedy"] == "git checkout .env.example"


def test_taken_port_is_named(root: Path) -> None:
    """A port that somebody has is a failure, with its holder and the way out."""
    text = (root / ".env").read_text()
    api, postgres = envfile.port_in(text, "PORT"), envfile.port_in(text, "DATABASE_URL")
    with socket.create_server(("127.0.0.1", api or 0)), socket.create_server(("127.0.0.1", postgres or 0)):
        found = findings(root)

    assert [found[name]["level"] for name in ("api", "postgres")] == ["failure", "failure"]
    assert f"pid {os.getpid()}" in found["postgres"]["text"]
    assert found["postgres"]["remedy"] == "uv run inv up --reassign-ports"


def test_variable_of_the_shell_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of this shell that wins over `.env` is told, without its value."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:topsecret@db.example.com/d")

    found = findings(root)["environment"]

    assert found["level"] == "warning"
    assert found["remedy"] == "unset DATABASE_URL"
    assert "topsecret" not in json.dumps(findings(root))


def test_text_shows_the_same(root: Path) -> None:
    """For people, each finding is a line, and what isn't well is followed by its remedy."""
    (root / ".env").chmod(0o644)
    out = io.StringIO()

    code = examine(root, out, as_json=False)

    assert code == 0
    assert "      !  .env: holds secrets" in out.getvalue()
    assert f'→ chmod 600 "{root / ".env"}"' in out.getvalue()
    assert out.getvalue().splitlines()[-1].startswith("0 to mend, ")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
@pytest.mark.parametrize(("name", "subject"), [(".env", ".env"), (".sherpa", "state")])
def test_what_is_closed_is_opened_by_the_remedy(name: str, subject: str, root: Path) -> None:
    """A file or folder of ours that we can't use is found, and the command that is given mends it."""
    (root / name).chmod(0)

    found = findings(root)[subject]
    subprocess.run(shlex.split(found["remedy"]), check=True)

    assert found["level"] == "failure"
    assert findings(root)[subject]["level"] == "ok"
