"""Where values come from, in which order, and what happens when a source can't be read."""

import os
from pathlib import Path

import pytest

from sherpa.config.sources import Found, Sources

NAME = "STRIPE_API_KEY"
PLACES = ("environment", "file", "dotenv")


def find(environ: dict[str, str], dotenv: str | bytes = "") -> Found:
    """Look NAME up in this environment and this `.env`."""
    path = Path(".env")
    path.write_bytes(dotenv if isinstance(dotenv, bytes) else dotenv.encode())
    return Sources.open(environ, path).find(NAME)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (PLACES, ("from environment", "environment")),
        (("file", "dotenv"), ("from file", f"{NAME}_FILE (secret.txt)")),
        (("environment", "dotenv"), ("from environment", "environment")),
        (("dotenv",), ("from dotenv", ".env line 1")),
        ((), (None, "not set")),
    ],
)
def test_the_first_place_that_has_it_wins(places: tuple[str, ...], expected: tuple[str | None, str]) -> None:
    """Process environment, then NAME_FILE, then `.env`."""
    Path("secret.txt").write_text("from file")
    environ = {NAME: "from environment"} if "environment" in places else {}
    environ |= {f"{NAME}_FILE": "secret.txt"} if "file" in places else {}

    found = find(environ, f"{NAME}=from dotenv" if "dotenv" in places else "")

    assert expected == (found.text, found.origin)


@pytest.mark.parametrize("blank", ["", " ", "\t\n "])
def test_an_empty_value_is_unset_everywhere(blank: str) -> None:
    """An empty variable and an empty file let the next place have its say."""
    Path("secret.txt").write_text(blank)

    found = find({NAME: blank, f"{NAME}_FILE": "secret.txt"}, f"{NAME}=from dotenv")

    assert "from dotenv" == found.text


def test_an_empty_pointer_is_unset() -> None:
    """An empty NAME_FILE is no file."""
    assert "from dotenv" == find({f"{NAME}_FILE": " "}, f"{NAME}=from dotenv").text


@pytest.mark.parametrize("place", PLACES)
def test_values_are_trimmed_everywhere(place: str) -> None:
    """Blanks and line ends around a value are not part of it, wherever it comes from."""
    Path("secret.txt").write_text("\n  value \r\n")
    environ = {"environment": {NAME: " value\n"}, "file": {f"{NAME}_FILE": " secret.txt "}}.get(place, {})

    found = find(environ, f'{NAME}="  value  "' if place == "dotenv" else "")

    assert "value" == found.text


def test_the_pointer_may_stand_in_the_file() -> None:
    """`.env` may say where the secret's file is."""
    Path("secret.txt").write_text("from file")

    assert "from file" == find({}, f"{NAME}_FILE=secret.txt\n{NAME}=from dotenv").text


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("absent.txt", "does not exist"),
        ("a-directory", "is not regular, or over 64 KB"),
        ("/dev/zero", "is not regular, or over 64 KB"),
        ("large.txt", "is not regular, or over 64 KB"),
        ("binary.txt", "can't be read as text"),
        ("nul\0byte", "can't be read as text"),
        ("secret.txt/below", "can't be read as text"),
        ("x" * 5000, "can't be read as text"),
        ("sk_live_pasted_here_by_mistake", "does not exist"),
    ],
)
def test_an_unreadable_file_is_a_problem_not_a_fall_through(path: str, problem: str) -> None:
    """A pointer that leads nowhere is told, without the path: the secret itself may have been put there."""
    Path("a-directory").mkdir()
    Path("secret.txt").write_text("value")
    Path("large.txt").write_text("x" * 70_000)
    Path("binary.txt").write_bytes(b"\xff\xfe\x00")

    found = find({f"{NAME}_FILE": path}, f"{NAME}=from dotenv")

    assert problem in found.problem
    assert f"{NAME}_FILE" == found.origin
    assert path not in f"{found.problem} {found.origin}"


def test_a_forbidden_file_is_a_problem() -> None:
    """A file that this process may not read is told (root, who may read all, is nobody for a moment)."""
    Path("secret.txt").touch(mode=0o000)
    sources = Sources.open({f"{NAME}_FILE": "secret.txt"}, None)
    user = os.geteuid()

    os.seteuid(user or 65534)
    try:
        found = sources.find(NAME)
    finally:
        os.seteuid(user)

    assert "names a file that this process may not read" == found.problem


def test_dotenv_is_read_as_written() -> None:
    """Quotes, comments, `export` and CRLF are understood, and no `${NAME}` is expanded."""
    texts = {
        f"{NAME}='a#b $HOME ${{HOME}}'": "a#b $HOME ${HOME}",
        f"export {NAME}=p#ss # a comment": "p#ss",
        f'\ufeff# first\r\n\r\n{NAME}="two words"\r\n': "two words",
        f"{NAME}": None,
    }

    assert texts == {text: find({}, text).text for text in texts}


def test_the_last_of_several_lines_counts() -> None:
    """A name that stands twice in `.env` has the later value, and its line is told."""
    found = find({}, f"{NAME}=one\n\n# between\n\n{NAME}=two\n")

    assert ("two", ".env line 5") == (found.text, found.origin)


def test_reading_leaves_the_environment_alone() -> None:
    """`.env` never leaks into `os.environ`, where child processes would inherit it."""
    find({}, f"{NAME}=value")

    assert NAME not in os.environ


def test_a_missing_dotenv_is_an_empty_one() -> None:
    """No `.env`, or none wanted, is fine."""
    found = [Sources.open({}, path).find(NAME) for path in (Path("nowhere/.env"), None)]

    assert [Found(), Found()] == found


@pytest.mark.parametrize(
    ("content", "where"),
    [(b"A=1\n=nonsense\n", ".env line 2"), (b"A='unclosed\n", ".env line 1"), (b"\xff\xfe=1", ".env")],
)
def test_a_broken_dotenv_is_a_fault(content: bytes, where: str) -> None:
    """A line that can't be understood, or a file that is no text, is told with its place."""
    Path(".env").write_bytes(content)

    faults = Sources.open({}, Path(".env")).dotenv.faults

    assert [where] == [fault.variable for fault in faults]
    assert all("unclosed" not in str(fault) for fault in faults)


def test_a_directory_is_no_dotenv() -> None:
    """A `.env` that can't be read is a fault, not an empty file."""
    Path(".env").mkdir()

    assert ["is a file that is not regular, or over 64 KB"] == wrongs()


def wrongs() -> list[str]:
    """Return what is wrong with the `.env`."""
    return [fault.wrong for fault in Sources.open({}, Path(".env")).dotenv.faults]


def test_a_pipe_is_not_waited_for() -> None:
    """A `.env` or a secret that is a pipe, to which nobody writes, is a fault instead of an endless wait."""
    os.mkfifo(".env")
    pointed = Sources.open({f"{NAME}_FILE": ".env"}, None).find(NAME)

    assert ["is a file that is not regular, or over 64 KB"] == wrongs()
    assert "names a file that is not regular, or over 64 KB" == pointed.problem


def test_a_huge_dotenv_is_not_read() -> None:
    """A file that can be no settings is refused by its size."""
    with Path(".env").open("wb") as file:
        file.truncate(1 << 30)

    assert ["is a file that is not regular, or over 64 KB"] == wrongs()


def test_the_null_device_is_an_empty_dotenv() -> None:
    """`--dotenv /dev/null`, or a link or a mount to it, means no file."""
    Path(".env").symlink_to(os.devnull)

    assert [] == wrongs()


def test_a_dotenv_that_leads_nowhere_is_an_empty_one() -> None:
    """A link to a file that does not exist (yet) is as good as none."""
    Path(".env").symlink_to("nowhere")

    assert [] == wrongs()


def test_sources_show_nothing_of_what_they_hold() -> None:
    """The repr, which tracebacks print, has neither the environment nor the file's lines."""
    Path(".env").write_text("STRIPE_API_KEY=wonderland")
    sources = Sources.open({"RESEND_API_KEY": "wonderland"}, Path(".env"))

    shown = f"{sources!r} {sources.dotenv!r} {sources.dotenv.lines!r} {sources.find(NAME)!r}"

    assert "wonderland" not in shown
