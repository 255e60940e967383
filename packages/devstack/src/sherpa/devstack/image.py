"""The container image of this tree: built by infra/docker/Dockerfile, named after the git revision."""

import subprocess
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sherpa.devstack import containers
from sherpa.devstack.containers import DockerError

DOCKERFILE = Path("infra/docker/Dockerfile")
NO_REVISION = "no-revision"
# Where the base image and the packages come from is the builder's affair: Docker takes what is set of these.
FROM_ENVIRONMENT = ("PYTHON_IMAGE", "PIP_INDEX_URL")


@dataclass(frozen=True)
class Image:
    """A built image: the project's name, the revision as its tag, and the id that only this build has."""

    name: str
    revision: str
    id: str

    @property
    def reference(self) -> str:
        """Its name with the revision."""
        return f"{self.name}:{self.revision}"

    @property
    def latest(self) -> str:
        """The name of the newest build on this machine."""
        return f"{self.name}:latest"


def build(root: Path) -> Image:
    """Build the image, with Docker's own output on the terminal. Raises DockerError."""
    containers.require_engine()
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    image = Image(project["name"], _revision(root), "")
    with tempfile.TemporaryDirectory(prefix="sherpa-image-") as scratch:
        id_file = Path(scratch, "id")
        command = ["docker", "build", "--file", str(root / DOCKERFILE), "--iidfile", str(id_file)]
        for name in (image.reference, image.latest):
            command += ["--tag", name]
        for name, value in _labels(root, project, image.revision).items():
            command += ["--label", f"org.opencontainers.image.{name}={value}"]
        for name in FROM_ENVIRONMENT:
            command += ["--build-arg", name]
        if subprocess.run([*command, str(root)], check=False, stdin=subprocess.DEVNULL).returncode:
            raise DockerError(
                f"The image {image.reference} could not be built; Docker's words stand above.",
                remedy="If a hash or a version does not fit: inv lock. Where the base image or packages are "
                "out of reach, PYTHON_IMAGE and PIP_INDEX_URL name other sources: docs/deployment.md",
            )
        return replace(image, id=id_file.read_text().strip())


def tag(image: Image, identity: str) -> str:
    """Give the image a name of one stack's own, which no other checkout's build takes; return it."""
    own = f"{image.name}:{identity}"
    containers.ask("tag", image.id, own)
    return own


def _revision(root: Path) -> str:
    """The commit, short; `-dirty` with changes that are in no commit; a fixed word outside git."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return NO_REVISION
    return f"{commit}-dirty" if _git(root, "status", "--porcelain") else commit


def _labels(root: Path, project: Mapping[str, str], revision: str) -> dict[str, str]:
    """What Open Container labels say. None depends on the hour: the same tree gives the same image."""
    labels = {
        "title": project["name"],
        "description": project["description"],
        "version": project["version"],
        "revision": revision,
        "created": _git(root, "show", "--no-patch", "--format=%cI", "HEAD"),
    }
    return {name: value for name, value in labels.items() if value}


def _git(root: Path, *arguments: str) -> str:
    """What git says, or "" where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
