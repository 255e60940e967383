"""The container image of this tree: built by infra/docker/Dockerfile, named after the git revision."""

import subprocess
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sherpa.devstack import containers
from sherpa.devstack.containers import DockerError
from sherpa.devstack.stack import PROJECT

DOCKERFILE = Path("infra/docker/Dockerfile")
LATEST = f"{PROJECT}:latest"
NO_REVISION = "no-revision"


@dataclass(frozen=True)
class Image:
    """A built image: the name that carries its revision, and the id that only this build has."""

    reference: str
    id: str


def build(root: Path) -> Image:
    """Build the image, with Docker's own output on the terminal. Raises DockerError."""
    containers.require_engine()
    revision = _revision(root)
    reference = f"{PROJECT}:{revision}"
    labels = [f"org.opencontainers.image.{name}={value}" for name, value in _labels(root, revision).items()]
    with tempfile.TemporaryDirectory(prefix="sherpa-image-") as scratch:
        id_file = Path(scratch, "id")
        command = ["docker", "build", "--file", str(root / DOCKERFILE), "--iidfile", str(id_file)]
        command += [word for tag in (reference, LATEST) for word in ("--tag", tag)]
        command += [word for label in labels for word in ("--label", label)]
        if subprocess.run([*command, str(root)], check=False, stdin=subprocess.DEVNULL).returncode:
            raise DockerError(
                f"The image {reference} could not be built; Docker's words stand above.",
                remedy="If a hash or a version does not fit, run `inv lock`. If the base image can't be had, "
                "docs/deployment.md says how to name another one.",
            )
        return Image(reference, id_file.read_text().strip())


def tag(image: Image, identity: str) -> str:
    """Give the image a name of one stack's own, which no other checkout's build takes; return it."""
    own = f"{PROJECT}:{identity.removeprefix(f'{PROJECT}-')}"
    containers.ask("tag", image.id, own)
    return own


def _revision(root: Path) -> str:
    """The commit, short; `-dirty` with changes that are in no commit; a fixed word outside git."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return NO_REVISION
    return f"{commit}-dirty" if _git(root, "status", "--porcelain") else commit


def _labels(root: Path, revision: str) -> dict[str, str]:
    """What Open Container labels say. None depends on the hour: the same tree gives the same image."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
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
