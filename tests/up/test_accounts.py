"""Root and ordinary users, each as far as the machine that runs the tests can play the other."""

import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.up.conftest import Checkout

UNSHARE = shutil.which("unshare")


def can_become(*arguments: str) -> bool:
    """Whether this machine lets us make a user namespace; containers mostly don't."""
    return (
        UNSHARE is not None
        and subprocess.run([UNSHARE, *arguments, "true"], check=False, capture_output=True).returncode == 0
    )


# In a user namespace the files stay ours, and so does the right to read the Python that runs the tests.
ORDINARY = (
    "--user",
    f"--map-user={pwd.getpwnam('daemon').pw_uid}",
    f"--map-group={pwd.getpwnam('daemon').pw_gid}",
)
ROOT_ONLY = ("--user", "--map-root-user")


def with_capabilities(*names: str) -> tuple[str, ...]:
    """What runs a command as root with these capabilities alone, as a container does."""
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in names)])
    return ("setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={kept}")


needs_setpriv = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv"
)
needs_ordinary = pytest.mark.skipif(
    not can_become(*ORDINARY), reason="no user namespaces here (unshare --user)"
)
needs_root_only = pytest.mark.skipif(
    not can_become(*ROOT_ONLY), reason="no user namespaces here (unshare --user)"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_runs_servers_as_nobody(checkout: Checkout) -> None:
    """As root the servers run unprivileged, their data is theirs alone, and `.env` stays root's."""
    checkout.up("--no-api")
    status = checkout.status()

    users = {
        name: psutil.Process(status["services"][name]["pid"]).username() for name in ("postgres", "redis")
    }
    data = Path("/var/lib/choice-sherpa") / status["identity"]

    assert users == {"postgres": "nobody", "redis": "nobody"}
    assert stat.S_IMODE((data / "postgres").stat().st_mode) == 0o700
    assert (checkout.root / ".env").stat().st_uid == 0
    assert checkout.inv("down", "--volumes").returncode == 0
    assert not data.exists()


@needs_ordinary
def test_ordinary_user_keeps_data_in_the_checkout(
    make_checkout: Callable[..., Checkout], tmp_path: Path
) -> None:
    """An ordinary user's servers run from the checkout, with their programs in the user's cache."""
    assert UNSHARE
    checkout = make_checkout(
        prefix=(UNSHARE, *ORDINARY), XDG_CACHE_HOME=str(tmp_path), DOCKER_HOST="unix:///nowhere/docker.sock"
    )

    checkout.up()

    status = checkout.status()
    assert status["well"] is True
    assert (checkout.root / ".sherpa" / "postgres" / "data" / "PG_VERSION").read_text() == "16\n"
    assert list((tmp_path / "choice-sherpa" / "binaries").glob("*/**/bin/postgres"))
    assert stat.S_IMODE((checkout.root / ".sherpa").stat().st_mode) == 0o700
    assert checkout.inv("down", "--volumes").returncode == 0
    assert not (checkout.root / ".sherpa" / "postgres").exists()


@needs_root_only
def test_root_without_other_users_is_explained(make_checkout: Callable[..., Checkout]) -> None:
    """A root that can't become another user, as in a namespace of its own, is told what to do."""
    assert UNSHARE
    checkout = make_checkout(DOCKER_HOST="unix:///nowhere/docker.sock")
    limited = Checkout(checkout.root, checkout.environment, (UNSHARE, *ROOT_ONLY))

    failed = limited.inv("up", "--no-api")

    assert failed.returncode == 1
    assert "PostgreSQL refuses to run as root, and this root can't become user 65534" in failed.stderr
    assert "Traceback" not in failed.stderr


@needs_setpriv
def test_root_without_capabilities_is_explained(make_checkout: Callable[..., Checkout]) -> None:
    """A root without capabilities (`--cap-drop ALL`) is told which to add, and with these it works."""
    checkout = make_checkout(DOCKER_HOST="unix:///nowhere/docker.sock")
    dropped = Checkout(checkout.root, checkout.environment, with_capabilities())

    failed = dropped.inv("up", "--no-api")
    added = re.findall(r"--cap-add (\w+)", failed.stderr)
    mended = Checkout(checkout.root, checkout.environment, with_capabilities(*added))

    assert failed.returncode == 1
    assert "lacks the capabilities" in failed.stderr
    assert mended.up("--no-api")
    assert mended.status()["services"]["postgres"]["health"] == "ok"
    assert mended.inv("down").returncode == 0


@needs_ordinary
def test_read_only_checkout_is_explained(make_checkout: Callable[..., Checkout]) -> None:
    """A checkout that can't be written to fails with the place and what to check, without a traceback."""
    assert UNSHARE
    checkout = make_checkout(DOCKER_HOST="unix:///nowhere/docker.sock")
    reader = Checkout(checkout.root, checkout.environment, (UNSHARE, *ORDINARY))
    checkout.root.chmod(0o500)

    failed = reader.inv("up", "--no-api")

    checkout.root.chmod(0o700)
    assert failed.returncode == 1
    assert f"{checkout.root}/.sherpa can't be made: Permission denied" in failed.stderr
    assert "Traceback" not in failed.stderr
