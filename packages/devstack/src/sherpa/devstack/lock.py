"""The hash-pinned `requirements/*.txt` that the image installs: all services' together, and the build tool's.

They follow from the workspace's declarations and the date in `exclude-newer` alone, so every machine exports
the same text: the resolution is made anew in a scratch copy, because a local `uv.lock` keeps versions that a
fresh clone would not choose.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

from sherpa.devstack.errors import StackError

FOLDER = "requirements"
HEADER = """\
# Exported by `uv run inv lock` from the workspace's pyproject.toml files: change those, then run it again.
# Every file of a release is pinned by hash; where to download from is left to whoever installs.
"""


class ResolutionError(StackError):
    """The workspace's dependencies can't be resolved."""


def lock(root: Path, *, check: bool = False) -> int:
    """Write `requirements/`, or with `check` only say what is not current; return the exit code, 0 or 1."""
    try:
        wanted = export(root)
    except ResolutionError as error:
        print(error, file=sys.stderr)
        return 1
    folder = root / FOLDER
    present = {path.name: path.read_text() for path in folder.glob("*.txt")}
    if check:
        return _report(present, wanted)
    folder.mkdir(exist_ok=True)
    for name in present.keys() - wanted.keys():
        (folder / name).unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)
    changed = sorted(name for name in present | wanted if present.get(name) != wanted.get(name))
    print(f"{FOLDER}/: " + (", ".join(changed) if changed else "nothing changed"))
    return 0


def export(root: Path) -> dict[str, str]:
    """What `requirements/` should hold: file name to text. Raises ResolutionError with uv's own words."""
    with tempfile.TemporaryDirectory(prefix="sherpa-lock-") as scratch:
        copy = Path(scratch)
        _copy_declarations(root, copy)
        _uv(copy, "lock")
        services = sorted(path.parent.name for path in root.glob("services/*/pyproject.toml"))
        # One image runs every service, so their versions are chosen together.
        selections = {
            "image.txt": ["--no-dev", *(f"--package=sherpa-{name}" for name in services)],
            "build.txt": ["--only-group", "build"],
        }
        return {name: HEADER + _export(copy, selection) for name, selection in selections.items()}


def pins(requirements: str) -> dict[str, str]:
    """The versions in a requirements file: package name to version."""
    return dict(re.findall(r"^([\w.-]+)==([^\s;]+)", requirements, re.MULTILINE))


def _copy_declarations(root: Path, copy: Path) -> None:
    for declaration in (root / "pyproject.toml", *root.glob("*/*/pyproject.toml")):
        target = copy / declaration.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(declaration, target)


def _export(workspace: Path, selection: list[str]) -> str:
    text = _uv(workspace, "export", "--frozen", "--no-emit-workspace", "--no-header", *selection)
    # A pinned line that ends without a backslash has no hash below it.
    if loose := re.findall(r"^([\w.-]+)[^#\n]*[^\\\n]$", text, re.MULTILINE):
        raise ResolutionError(
            f"The package index gives no hash for {', '.join(loose)}.",
            remedy="Resolve from an index that publishes hashes, and try again.",
        )
    return text


def _uv(workspace: Path, *arguments: str) -> str:
    command = [find_uv_bin(), *arguments, "--quiet", "--python", sys.executable]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ResolutionError(
            f"uv could not resolve the workspace's dependencies:\n{done.stderr.strip()}",
            remedy="Mend what it names, a pyproject.toml or the way to the package index, and try again.",
        )
    return done.stdout


def _report(present: dict[str, str], wanted: dict[str, str]) -> int:
    stale = sorted(name for name in present | wanted if present.get(name) != wanted.get(name))
    for name in stale:
        facts = _differences(pins(present.get(name, "")), pins(wanted.get(name, "")))
        reason = ", ".join(facts) or "same versions, other text"
        print(f"{FOLDER}/{name} is not current: {reason}", file=sys.stderr)
    if stale:
        print("Run `uv run inv lock` and commit the result.", file=sys.stderr)
        return 1
    print(f"{FOLDER}/ is current: {', '.join(sorted(wanted))}")
    return 0


def _differences(present: dict[str, str], wanted: dict[str, str]) -> list[str]:
    return [
        f"{name} {present.get(name, 'absent')} -> {wanted.get(name, 'absent')}"
        for name in sorted(present | wanted)
        if present.get(name) != wanted.get(name)
    ]
