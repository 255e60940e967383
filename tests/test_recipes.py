"""The migrations that the pages show pass what every migration has to pass: Squawk, by our settings."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sherpa.db.migrations.files import MigrationFile
from sherpa.devstack.sqllint.findings import Finding, lint
from sherpa.devstack.sqllint.scripts import read_scripts

ROOT = Path(__file__).parents[1]


def _page() -> ModuleType:
    """Import what the tests of sherpa.db read the page with."""
    # By its path: pytest gives a conftest its name only where that one's folder is collected, too.
    path = ROOT / "packages/db/tests/migrations/recipes/conftest.py"
    spec = importlib.util.spec_from_file_location("recipes_page", path)
    assert spec
    assert spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STEPS = [
    pytest.param(step, id=f"{recipe.title}, {number}")
    for recipe in _page().RECIPES
    for number, step in enumerate(recipe.migrations, 1)
]
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```$",
    (ROOT / "docs/migrations.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def test_pages_are_found() -> None:
    """Were the pages written otherwise, the tests below would have nothing to say."""
    assert len(STEPS) > 30
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("step", STEPS)
def test_recipe_passes_squawk(step: Any, tmp_path: Path) -> None:
    """No step of a recipe is one that `inv lint` would stop, or has an exception that nothing needs."""
    assert [] == _findings(tmp_path, step.as_file("001_step"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_passes_squawk(example: str, tmp_path: Path) -> None:
    """The whole files that docs/migrations.md shows are as good."""
    assert [] == _findings(tmp_path, example)


def _findings(folder: Path, text: str) -> list[Finding]:
    (migration_id,) = re.findall(r'^ID = "(\w+)"', text, re.MULTILINE)
    path = folder / f"sherpa_{migration_id}.py"
    path.write_text(text)
    scripts = read_scripts(MigrationFile(migration_id, path))
    return [finding for script in scripts for finding in lint(script, ROOT / ".squawk.toml")]
