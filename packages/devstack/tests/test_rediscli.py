"""Our plain redis-cli shows replies as the real one does, and exits as a script expects."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from sherpa.devstack import rediscli
from sherpa.devstack.embedded.valkey import ValkeyServer
from sherpa.devstack.resp import Reply


@pytest.fixture
def options(place: Path, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What leads to a real server; the password is in the environment."""
    server = ValkeyServer(place / "valkey", port, "secret", durable=False)
    server.start()
    monkeypatch.setenv("REDISCLI_AUTH", "secret")
    yield ["-h", "127.0.0.1", "-p", str(port), "-n", "3"]
    server.stop()


def test_runs_one_command(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One command is run in the database that was named."""
    codes = [
        rediscli.main([*options, *words]) for words in (["set", "a", "b c"], ["get", "a"], ["client", "info"])
    ]

    assert codes == [0, 0, 0]
    assert capsys.readouterr().out.startswith("OK\nb c\n")


def test_failed_command_fails(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An error is shown, and the exit code says so."""
    assert rediscli.main([*options, "nonsense"]) == 1
    assert "(error) ERR unknown command" in capsys.readouterr().out


def test_converses(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines are run until the end or `quit`; a wrong one doesn't end the conversation."""
    monkeypatch.setattr("sys.stdin", io.StringIO('set a "1 2"\n\nget \'a\nwrong\nget a\nquit\nget a\n'))

    code = rediscli.main(options)

    shown = capsys.readouterr().out.splitlines()
    assert code == 0
    assert (shown[0], shown[-1], len(shown)) == ("OK", "1 2", 4)


def test_nobody_there_fails(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a server, the address is named and the exit code says so."""
    assert rediscli.main(["-p", str(port), "ping"]) == 1
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (None, "(nil)"),
        (3, "(integer) 3"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"\xff", "\\xff"),
        ([], "(empty array)"),
        ([b"a", [b"b", None]], "1) a\n2) 1) b\n   2) (nil)"),
    ],
)
def test_spells_replies(reply: Reply, shown: str) -> None:
    """Each kind of reply looks as people know it."""
    assert rediscli.spell(reply) == shown
