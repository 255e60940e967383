"""The repaired command line, seen through a real Invoke process on a tasks file of the test's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from sherpa.devstack.invocation import finish, flags

TASKS = """
from invoke.tasks import task
from sherpa.devstack.invocation import mend_output, mend_parser

mend_output()
mend_parser()

@task(positional=["service"], optional=["service"])
def logs(c, service=None, follow=False):
    print(f"service={service!r} follow={follow}")

@task
def show(c, name):
    print(f"name={name}")
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Give a folder that holds a tasks file."""
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def inv(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Invoke in `folder`, as a user does."""
    command = [sys.executable, "-m", "invoke", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["logs"], "service='' follow=False"),
        (["logs", "api"], "service='api' follow=False"),
        (["logs", "--follow"], "service='' follow=True"),
        (["logs", "api", "--follow"], "service='api' follow=True"),
        (["logs", "--follow", "api"], "service='api' follow=True"),
        (["logs", "--service", "api", "--follow"], "service='api' follow=True"),
        (["logs", "--service=api"], "service='api' follow=False"),
    ],
)
def test_optional_positional_may_be_left_out(tasks: Path, arguments: list[str], expected: str) -> None:
    """An optional positional argument is empty when left out and taken wherever it stands."""
    result = inv(tasks, *arguments)

    assert (0, expected) == (result.returncode, result.stdout.strip())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nosuch"], "No idea what 'nosuch' is!"),
        (["logs", "api", "--nosuch"], "No idea what '--nosuch' is!"),
        (["logs", "--nosuch"], "No idea what '--nosuch' is!"),
        (["show", "--nosuch"], "No idea what '--nosuch' is!"),
        (["logs", "api", "--follow", "more"], "No idea what 'more' is!"),
        (["show"], "did not receive required positional arguments"),
    ],
)
def test_wrong_use_exits_with_two(tasks: Path, arguments: list[str], complaint: str) -> None:
    """An unknown task or flag, or a missing argument, says what is wrong and exits with 2."""
    result = inv(tasks, *arguments)

    assert result.returncode == 2
    assert complaint in result.stderr
    assert "inv --list" in result.stderr


def test_help_is_no_argument(tasks: Path) -> None:
    """`--help` after a task whose argument may be left out shows the task's help."""
    result = inv(tasks, "logs", "--help")

    assert (0, True) == (result.returncode, "[--core-opts] logs " in result.stdout)


def test_poor_terminal_shows_what_it_can(tasks: Path) -> None:
    """A character that the output's encoding lacks is shown as `?`."""
    result = inv(tasks, "show", "a→b", PYTHONIOENCODING="ascii", PYTHONUTF8="1")

    assert (0, "name=a?b") == (result.returncode, result.stdout.strip())


def test_flags_are_spelled_as_they_are_typed() -> None:
    """What was not given is left out; a switch has no value, and a value may begin with a dash."""
    spelled = flags(dry_run=True, all=False, to=None, since="2h", name="-x", type="")

    assert ["--dry-run", "--since=2h", "--name=-x", "--type="] == spelled


def test_a_commands_code_is_the_tasks() -> None:
    """0 goes on with the next task, any other code ends Invoke with it."""
    finish(0)

    with pytest.raises(Exit) as ended:
        finish(2)

    assert 2 == ended.value.code
