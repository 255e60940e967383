"""`inv fmt`, `inv lint` and `inv test` on a small workspace: the real tools, straight, with one exit code."""

from pathlib import Path

import pytest

from sherpa.devstack import checks

ROOT = Path(__file__).parents[1]
SOUND = '''"""A module in order."""


def double(number: int) -> int:
    """Double a number."""
    return 2 * number
'''
PROJECT = """
[tool.mypy]
strict = true
files = ["one"]

[tool.pytest.ini_options]
addopts = ["-p", "no:randomly", "-p", "no:cacheprovider"]

[tool.importlinter]
root_packages = ["one"]

[[tool.importlinter.contracts]]
name = "above stands on below"
type = "layers"
layers = ["one.above", "one.below"]
"""
MIGRATION = '''"""A migration in order."""

from sherpa.db.migrations.migration import Migration

ID = "001_first"
DESCRIPTION = "the first"
FORWARDS = "CREATE TABLE first (id bigint PRIMARY KEY)"
BACKWARDS = "DROP TABLE first"

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS)
'''
MIGRATION_FILE = "packages/db/src/sherpa/db/migrations/versions/sherpa_001_first.py"
TEST = "def test_{name}():\n    pass\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Give a workspace of one package and one member, in which every check passes."""
    files = {
        "pyproject.toml": PROJECT,
        "one/__init__.py": "",
        "one/above.py": SOUND,
        "one/below.py": SOUND,
        ".squawk.toml": (ROOT / ".squawk.toml").read_text(),
        MIGRATION_FILE: MIGRATION,
        "packages/first/pyproject.toml": "",
        "packages/first/tests/test_first.py": TEST.format(name="first"),
        "services/second/pyproject.toml": "",
        "services/second/tests/test_second.py": TEST.format(name="second"),
        "tests/test_across.py": TEST.format(name="across"),
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_fmt_mends_and_formats(workspace: Path) -> None:
    """What ruff can mend is mended, the rest formatted; what it can't mend is no failure here."""
    (workspace / "one/below.py").write_text("import os\nNAMES = [ 'a' ]\nundefined\n")

    code = checks.format_code(workspace)

    assert (0, 'NAMES = ["a"]\nundefined\n') == (code, (workspace / "one/below.py").read_text())


def test_lint_passes_what_is_in_order(workspace: Path) -> None:
    """Where nothing is wrong the exit code is 0."""
    assert 0 == checks.lint(workspace)


def test_lint_runs_every_check(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Format, lint, types, the direction of imports and migrations are checked, whatever fails before."""
    (workspace / "one/below.py").write_text(
        "from one import above\nimport os\ndef double(number): return 2*number\n"
    )
    (workspace / MIGRATION_FILE).write_text(
        MIGRATION.replace("CREATE TABLE first", "DROP TABLE other; CREATE TABLE first")
    )

    code = checks.lint(workspace)

    said = capfd.readouterr().out
    assert 1 == code
    assert f"{MIGRATION_FILE}:7: ban-drop-table (forwards)" in said
    assert "would be reformatted" in said
    assert "F401" in said
    assert "Function is missing a type annotation" in said
    assert "above stands on below BROKEN" in said


def test_one_failed_check_is_enough(workspace: Path) -> None:
    """A fault that the first check finds isn't forgotten when all others pass."""
    (workspace / "one/below.py").write_text(SOUND.replace("2 * number", "2*number"))

    assert 1 == checks.lint(workspace)


def test_dangerous_migration_is_enough(workspace: Path) -> None:
    """A migration that would hurt a database in use fails the lint by itself."""
    (workspace / MIGRATION_FILE).write_text(
        MIGRATION.replace("CREATE TABLE first (id bigint PRIMARY KEY)", "DROP TABLE other")
    )

    assert 1 == checks.lint(workspace)


@pytest.mark.parametrize(
    ("package", "ran"),
    [
        ("first", {"first"}),
        ("second", {"second"}),
        ("stories", {"across"}),
        (None, {"first", "second", "across"}),
    ],
)
def test_test_runs_what_is_named(
    workspace: Path, capfd: pytest.CaptureFixture[str], package: str | None, ran: set[str]
) -> None:
    """One member's tests, the stories across them, or everything; pytest gets what follows `--`."""
    code = checks.test(workspace, package, "--verbose -p no:xdist")

    said = capfd.readouterr().out
    assert 0 == code
    assert ran == {name for name in ("first", "second", "across") if f"::test_{name} PASSED" in said}


def test_failed_tests_fail(workspace: Path) -> None:
    """A test that fails makes the exit code 1."""
    (workspace / "tests/test_across.py").write_text("def test_across():\n    assert 0\n")

    assert 1 == checks.test(workspace, "stories", "--quiet")


def test_wrong_use_is_2(workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An unknown member is answered with those that there are; an option unknown to pytest is 2, too."""
    unknown = checks.test(workspace, "third", "")

    assert "Choose from: first, second, stories." in capfd.readouterr().err
    assert (2, 2) == (unknown, checks.test(workspace, "first", "--no-such-option"))


def test_failing_to_check_is_no_wrong_use(workspace: Path) -> None:
    """A tool that can't do its work, as mypy with a broken file, fails; 2 stays what was typed wrongly."""
    (workspace / "one/below.py").write_text("def broken(:\n")

    assert 1 == checks.lint(workspace)
