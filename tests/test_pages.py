"""The commands that the pages show exist: whoever types them is understood."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.parser import Parser
from invoke.parser.context import ParserContext

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "packages/*/README.md", "services/*/README.md")
    for page in ROOT.glob(pattern)
)
# Invoke's own flags, which belong to no task.
NO_TASK = {"--list", "--help"}


def commands(program: str) -> Iterator[tuple[str, str]]:
    """Yield the page and the command, for each use of a program in a code block or in a line of prose."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
        spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
        for line in (*lines, *spans):
            for part in line.split("&&"):
                if found := re.match(rf"\s*(?:\$ )?(?:\.uv/bin/)?(?:uv run )?{program} (.+)", part):
                    yield page.relative_to(ROOT).as_posix(), found[1].strip()


def parser() -> Parser:
    """Make the parser that `inv` has in this checkout."""
    spec = importlib.util.spec_from_file_location("tasks", ROOT / "tasks.py")
    assert spec
    assert spec.loader
    tasks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    return Parser(initial=ParserContext(), contexts=Collection.from_module(tasks).to_contexts())


INV = sorted({pair for pair in commands("inv") if pair[1].split()[0] not in NO_TASK})
MODULES = sorted(set(commands("python")))


def test_pages_are_found() -> None:
    """Were the pages elsewhere or written otherwise, the tests below would have nothing to say."""
    assert {
        "README.md",
        "CONTRIBUTING.md",
        "docs/development.md",
        "docs/testing.md",
        "docs/migrations.md",
    } <= {page for page, _ in INV}
    assert len(MODULES) > 5


@pytest.mark.parametrize(("page", "command"), INV)
def test_inv_understands_the_page(page: str, command: str) -> None:
    """Each `inv` command of a page names a task and only flags that it has."""
    own, _, _ = command.partition(" -- ")

    _, *tasks = parser().parse_argv(shlex.split(own))

    assert [own.split()[0]] == [context.name for context in tasks], page


@pytest.mark.parametrize(("page", "command"), MODULES)
def test_python_finds_what_the_page_runs(page: str, command: str) -> None:
    """Each `python -m MODULE` and `python FILE` of a page is there to be run."""
    first, second, *_ = [*shlex.split(command), ""]

    if first == "-m":
        module = find_spec(second)
        assert module, page
        assert module.submodule_search_locations is None or find_spec(f"{second}.__main__"), page
    else:
        assert (ROOT / first).is_file(), page
