"""What must hold before a merge. `uv run nox` runs every session; CI runs nothing else.

The checks run in the workspace's own environment; each member's tests run in an environment that holds that
member and the test tools alone, because a shared one hides undeclared dependencies.
"""

import nox

nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

MEMBERS = ("config", "telemetry", "db", "devstack", "api")


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """The code is formatted and linted, and imports point one way only."""
    session.run("ruff", "format", "--check")
    session.run("ruff", "check")
    session.run("lint-imports", "--no-logo")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Every function is typed, and mypy in strict mode finds nothing wrong."""
    session.run("mypy")


@nox.session
@nox.parametrize("member", MEMBERS, ids=MEMBERS)
def member(session: nox.Session, member: str) -> None:
    """A member works with what it declares: its tests pass where nothing else is installed."""
    folder = f"services/{member}" if member in {"api", "worker"} else f"packages/{member}"
    session.run_install(
        "uv",
        "sync",
        "--quiet",
        "--package",
        f"sherpa-{member}",
        "--group",
        "test",
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )
    session.run("pytest", "-n", "2", folder, *session.posargs)


@nox.session(venv_backend="none")
def stories(session: nox.Session) -> None:
    """The product's promises hold across packages, on real servers and real processes."""
    session.run("pytest", "-n", "2", "tests", *session.posargs)
