"""The SQL of docs/migration-recipes.md passes what every migration has to pass: Squawk, by our settings."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sherpa.db.migrations.files import MigrationFile
from sherpa.devstack.sqllint.findings import lint
from sherpa.devstack.sqllint.scripts import read_scripts

ROOT = Path(__file__).parents[1]


def _page() -> ModuleType:
    """Import what the tests of sherpa.db read the page with."""
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


def test_page_is_found() -> None:
    """Were the page written otherwise, the test below would have nothing to say."""
    assert len(STEPS) > 30


@pytest.mark.parametrize("step", STEPS)
def test_recipe_passes_squawk(step: Any, tmp_path: Path) -> None:
    """No step of a recipe is one that `inv lint` would stop, or has an exception that nothing needs."""
    path = tmp_path / "sherpa_001_step.py"
    path.write_text(step.as_file("001_step"))

    found = [
        finding
        for script in read_scripts(MigrationFile("001_step", path))
        for finding in lint(script, ROOT / ".squawk.toml")
    ]

    assert [] == found
