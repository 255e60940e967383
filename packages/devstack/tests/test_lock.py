"""`inv lock` exports the same text everywhere, `--check` says what is not current. The index is our own."""

import base64
import functools
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from uv import find_uv_bin

from sherpa.devstack.lock import lock, pins

ROOT_PROJECT = """
[project]
name = "tiny"
version = "0"
requires-python = ">=3.12"
[tool.uv]
package = false
[tool.uv.workspace]
members = ["services/*"]
[dependency-groups]
build = ["maker"]
[[tool.uv.index]]
url = "{index}"
default = true
"""
MEMBER = """
[project]
name = "sherpa-api"
version = "0"
requires-python = ">=3.12"
dependencies = [{dependencies}]
[dependency-groups]
dev = ["maker"]
[build-system]
requires = ["maker"]
build-backend = "maker"
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, says nothing about it, and asks that nothing be remembered."""

    def end_headers(self) -> None:
        """Add that releases may come at any time."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The folder of a package index that holds `kernel` and `maker`."""
    folder = tmp_path / "packages"
    for name in ("kernel", "maker"):
        publish(folder, name, "1.0")
    return folder


@pytest.fixture
def index(packages: Path) -> Iterator[str]:
    """The index, served on loopback; the value is its address."""
    handler = functools.partial(Quiet, directory=str(packages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def workspace(tmp_path: Path, index: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with one service that needs `kernel`."""
    # A release of another test's index may have the same name and address.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "a checkout"
    (root / "services/api").mkdir(parents=True)
    (root / "pyproject.toml").write_text(ROOT_PROJECT.format(index=index))
    declare(root, '"kernel"')
    return root


def publish(packages: Path, name: str, version: str, *, hashed: bool = True) -> None:
    """Put a release into the index, with or without its hash."""
    folder = packages / name
    folder.mkdir(parents=True, exist_ok=True)
    wheel = write_wheel(folder, name, version)
    digest = f"#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}" if hashed else ""
    with (folder / "index.html").open("a") as page:
        page.write(f'<a href="{wheel.name}{digest}">{wheel.name}</a>\n')


def write_wheel(folder: Path, name: str, version: str) -> Path:
    """Write the smallest wheel that there is."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    record = "".join(f"{path},sha256={digest},\n" for path, digest in digests.items())
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(path, text)
    return file


def declare(root: Path, dependencies: str) -> None:
    """Give the service these dependencies."""
    (root / "services/api/pyproject.toml").write_text(MEMBER.format(dependencies=dependencies))


def test_image_gets_what_its_services_run_with(workspace: Path) -> None:
    """The image's file has the services' dependencies with hashes; development's are not in it."""
    assert 0 == lock(workspace)

    text = (workspace / "requirements/image.txt").read_text()
    assert {"kernel": "1.0"} == pins(text)
    assert "--hash=sha256:" in text
    assert {"maker": "1.0"} == pins((workspace / "requirements/build.txt").read_text())


def test_services_share_one_choice_of_versions(workspace: Path, packages: Path) -> None:
    """What only the second service needs is in the same file, beside what both need."""
    publish(packages, "addition", "2.0")
    second = MEMBER.replace("sherpa-api", "sherpa-worker").format(dependencies='"kernel", "addition"')
    (workspace / "services/worker").mkdir()
    (workspace / "services/worker/pyproject.toml").write_text(second)

    assert 0 == lock(workspace)

    assert {"kernel": "1.0", "addition": "2.0"} == pins((workspace / "requirements/image.txt").read_text())


def test_export_is_checked_against_the_declarations(
    workspace: Path, packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an export the check passes; after a new dependency it fails and names what is missing."""
    lock(workspace)
    assert 0 == lock(workspace, check=True)

    publish(packages, "addition", "2.0")
    declare(workspace, '"kernel", "addition"')

    assert 1 == lock(workspace, check=True)
    assert "image.txt is not current: addition absent -> 2.0" in capsys.readouterr().err
    assert {"kernel": "1.0"} == pins((workspace / "requirements/image.txt").read_text())


def test_check_sees_a_changed_hash(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same versions with another hash are not current."""
    lock(workspace)
    file = workspace / "requirements/image.txt"
    file.write_text(file.read_text().replace("sha256:", "sha256:0"))

    assert 1 == lock(workspace, check=True)
    assert "same versions, other text" in capsys.readouterr().err


def test_local_lock_file_does_not_count(workspace: Path, packages: Path) -> None:
    """A `uv.lock` that remembers an older version changes nothing: a fresh clone has none."""
    subprocess.run([find_uv_bin(), "lock", "--quiet", "--python", sys.executable], cwd=workspace, check=True)
    remembered = (workspace / "uv.lock").read_text()
    publish(packages, "kernel", "1.1")

    lock(workspace)

    assert {"kernel": "1.1"} == pins((workspace / "requirements/image.txt").read_text())
    assert remembered == (workspace / "uv.lock").read_text()


def test_file_of_a_service_that_is_gone_goes_too(workspace: Path) -> None:
    """An export leaves nothing behind that no service needs; the check finds such a file."""
    lock(workspace)
    leftover = workspace / "requirements/worker.txt"
    leftover.write_text("old==1\n")

    assert 1 == lock(workspace, check=True)
    assert 0 == lock(workspace)
    assert not leftover.exists()


def test_unsolvable_declarations_are_told(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When uv finds no solution, its words are passed on and nothing is written."""
    declare(workspace, '"kernel>=7"')

    assert 1 == lock(workspace)
    assert "kernel" in capsys.readouterr().err
    assert not (workspace / "requirements").exists()


def test_release_without_a_hash_is_refused(
    workspace: Path, packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An index that publishes no hash gives nothing to pin by, and that is an error, not an unpinned line."""
    publish(packages, "loose", "1.0", hashed=False)
    declare(workspace, '"loose"')

    assert 1 == lock(workspace)
    assert "no hash for loose" in capsys.readouterr().err


def test_no_place_is_named(workspace: Path) -> None:
    """Neither the index nor the checkout stands in what is exported."""
    lock(workspace)

    text = "".join(path.read_text() for path in (workspace / "requirements").iterdir())
    assert str(workspace.parent) not in text
    assert "127.0.0.1" not in text
