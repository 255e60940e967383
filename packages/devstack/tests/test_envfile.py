"""`.env` is written once, private and whole, and afterwards only its ports may be moved."""

import socket
import stat
from pathlib import Path

import pytest

from sherpa.devstack import envfile, ports
from sherpa.devstack.errors import StackError

EXAMPLE = """\
# A comment with DATABASE_URL=in it
ENVIRONMENT=development
PORT={api}
WORKER_PORT={worker}
DATABASE_URL=postgresql://sherpa:change-me@127.0.0.1:{postgres}/choice_sherpa
REDIS_URL=redis://127.0.0.1:{redis}/0
# PORT=1
"""


@pytest.fixture
def numbers() -> dict[str, int]:
    """Four free ports."""
    return dict(
        zip(("api", "worker", "postgres", "redis"), {ports.any_free() for _ in range(20)}, strict=False)
    )


@pytest.fixture
def root(tmp_path: Path, numbers: dict[str, int]) -> Path:
    """A checkout that has never been brought up."""
    (tmp_path / ".env.example").write_text(EXAMPLE.format(**numbers))
    return tmp_path


def test_free_ports_stay(root: Path, numbers: dict[str, int]) -> None:
    """With every port free, `.env` is the example with another password."""
    moves = envfile.create(root)

    lines = (root / ".env").read_text().splitlines()
    changed = [line for line in lines if line not in EXAMPLE.format(**numbers).splitlines()]
    assert moves == ()
    assert [line.split(":")[0] for line in changed] == ["DATABASE_URL=postgresql"]


def test_passwords_differ(root: Path) -> None:
    """Each `.env` gets a long password of its own, which needs no quoting in a URL."""
    passwords = set()
    for _ in range(3):
        envfile.create(root)
        passwords.add((root / ".env").read_text().split("sherpa:")[1].split("@")[0])
        (root / ".env").unlink()

    assert len(passwords) == 3
    assert all(len(each) >= 32 and each.replace("-", "").replace("_", "").isalnum() for each in passwords)


def test_is_private(root: Path) -> None:
    """Only its owner can read it, and nothing else is left in the folder."""
    envfile.create(root)

    assert stat.S_IMODE((root / ".env").stat().st_mode) == 0o600
    assert sorted(path.name for path in root.iterdir()) == [".env", ".env.example"]


def test_taken_ports_are_replaced(root: Path, numbers: dict[str, int]) -> None:
    """A port that somebody has is replaced by a free one, and that is told with the holder."""
    with socket.create_server(("127.0.0.1", numbers["redis"])):
        moves = envfile.create(root)

    assert [(move.variable, move.before) for move in moves or ()] == [("REDIS_URL", numbers["redis"])]
    text = (root / ".env").read_text()
    assert envfile.port_in(text, "REDIS_URL") != numbers["redis"]
    assert envfile.port_in(text, "DATABASE_URL") == numbers["postgres"]


def test_replacements_differ(tmp_path: Path, port: int) -> None:
    """Even an example in which all ports are the same and taken leads to four different ones."""
    example = EXAMPLE.format(api=port, worker=port, postgres=port, redis=port)
    (tmp_path / ".env.example").write_text(example)

    with socket.create_server(("127.0.0.1", port)):
        envfile.create(tmp_path)

    text = (tmp_path / ".env").read_text()
    assert len({envfile.port_in(text, variable) for variable in envfile.VARIABLES} | {port}) == 5


def test_never_written_twice(root: Path) -> None:
    """A `.env` that is there stays as it is."""
    (root / ".env").write_text("MINE=1\n")

    moves = envfile.create(root)

    assert moves is None
    assert (root / ".env").read_text() == "MINE=1\n"


def test_missing_example_says_what_to_do(tmp_path: Path) -> None:
    """Without an example, the error names the file and the command that brings it back."""
    with pytest.raises(StackError, match=r"git checkout \.env\.example"):
        envfile.create(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "DATABASE_URL=postgresql://u:p@127.0.0.1:5432/d?x=1",
            "DATABASE_URL=postgresql://u:p@127.0.0.1:{}/d?x=1",
        ),
        ("DATABASE_URL=postgresql://u:p@localhost/d", "DATABASE_URL=postgresql://u:p@localhost:{}/d"),
        (
            'export DATABASE_URL = "postgres://u:a%40b@localhost:5432/d"  # mine',
            'export DATABASE_URL = "postgres://u:a%40b@localhost:{}/d"  # mine',
        ),
        (
            "DATABASE_URL='postgresql://u:5432@127.0.0.1:5432/5432'",
            "DATABASE_URL='postgresql://u:5432@127.0.0.1:{}/5432'",
        ),
    ],
)
def test_moves_the_port_alone(tmp_path: Path, before: str, after: str) -> None:
    """Only the port's digits change: quotes, comments, options and other lines stay."""
    frame = "# first\r\nA=1\n\n{}\nZ=caf\u00e9\n"
    (tmp_path / ".env").write_bytes(frame.format(before).encode())

    (move,) = envfile.reassign(tmp_path, {"DATABASE_URL"})

    assert (tmp_path / ".env").read_bytes().decode() == frame.format(after.format(move.after))
    assert move.before == 5432


def test_ports_may_be_skipped(tmp_path: Path) -> None:
    """Whoever met another clone on a port goes far enough away not to meet it again on the next one."""
    (tmp_path / ".env").write_text("PORT=20000\n")

    (move,) = envfile.reassign(tmp_path, {"PORT"}, skip=30)

    assert move.after > 20030


def test_default_port_is_written_out(tmp_path: Path) -> None:
    """An API port that stands nowhere is added as a line."""
    (tmp_path / ".env").write_text("A=1")

    (move,) = envfile.reassign(tmp_path, {"PORT"})

    assert (tmp_path / ".env").read_text() == f"A=1\nPORT={move.after}\n"


def test_other_hosts_are_left_alone(tmp_path: Path) -> None:
    """A server on another host has no port of ours."""
    text = "DATABASE_URL=postgresql://u:p@db.example.com:5432/d\n"
    (tmp_path / ".env").write_text(text)

    moves = envfile.reassign(tmp_path, {"DATABASE_URL"})

    assert moves == ()
    assert (tmp_path / ".env").read_text() == text
