"""`python -m sherpa.devstack.sqllint`: lint the SQL of all migrations; exit code 1 for any finding.

A TODO is one, wherever it stands: the runner refuses only those that would run, for a header can wait until
the merge, while the change is tried out.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from sherpa.db.migrations.errors import MigrationError
from sherpa.db.migrations.files import list_files
from sherpa.devstack.sqllint.findings import Finding, lint
from sherpa.devstack.sqllint.scripts import Script, read_scripts
from sherpa.devstack.sqllint.squawk import SquawkError

# Of the checkout that we are run in.
MIGRATIONS = Path("packages/db/src/sherpa/db/migrations/versions")
CONFIG = Path(".squawk.toml")
EXCEPTION = "If it is safe here, the line above says so: -- squawk-ignore {rule} -- the reason"


def main(folder: Path = MIGRATIONS, config: Path = CONFIG) -> int:
    """Print what is wrong with the migrations of a folder; return 1 if anything is, else 0."""
    try:
        scripts = _read(folder)
        todos = [todo for file in list_files(folder) for todo in _find_todos(file.path)]
        found = [finding for script in scripts for finding in lint(script, config)]
    except (MigrationError, SquawkError) as error:
        print(error, file=sys.stderr)
        return 1
    for todo in todos:
        print(todo)
    for finding in found:
        print(_text(finding))
    for script in scripts:
        if not script.sql:
            print(
                f"{_shown(script.file)}: {script.way} is code, which Squawk can't read: review it yourself."
            )
    print(f"Squawk: {len(found)} findings in {len(scripts)} scripts.")
    return 1 if found or todos else 0


def _read(folder: Path) -> list[Script]:
    scripts = [script for file in list_files(folder) for script in read_scripts(file)]
    if not scripts:  # to find nothing wrong with nothing would look like a pass
        raise SquawkError(f"There are no migrations in {folder}: run this in the root of a checkout.")
    return scripts


def _find_todos(path: Path) -> Iterator[str]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if "TODO" in line:
            yield f"{_shown(path)}:{number}: unfinished: {line.strip()}"


def _text(finding: Finding) -> str:
    lines = [f"{_shown(finding.file)}:{finding.line}: {finding.rule} ({finding.way}): {finding.message}"]
    if finding.advice:
        lines.append(f"  Safe: {finding.advice}")
    if not finding.rule.endswith(("-exception", "-reason")):
        lines.append(f"  {EXCEPTION.format(rule=finding.rule)}")
    return "\n".join(lines)


def _shown(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
