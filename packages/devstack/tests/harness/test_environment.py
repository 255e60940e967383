"""No variable of ours, and none of libpq's, reaches a test."""

import pytest

from sherpa import config
from sherpa.config.declaration import variables_of
from sherpa.devstack.harness import environment

SECTIONS = [
    config.AiSettings,
    config.AuthSettings,
    config.DatabaseSettings,
    config.EmailSettings,
    config.FeatureSettings,
    config.LoggingSettings,
    config.PaymentSettings,
    config.RedisSettings,
    config.ServerSettings,
]


@pytest.mark.parametrize("suffix", ["", "_FILE"])
def test_takes_every_variable_of_ours(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable that the loader knows is taken, and so is the file that may hold it."""
    declared = [variable.name for section in SECTIONS for variable in variables_of(section)]
    names = {f"{name.replace('*', 'ANYTHING')}{suffix}" for name in declared}
    for name in names:
        monkeypatch.setenv(name, "x")

    taken = environment.take_away()

    assert set() == names - set(taken)


@pytest.mark.parametrize("name", ["PGHOST", "PGPASSWORD", "PGSSLMODE", "PGSERVICEFILE"])
def test_takes_libpqs_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers read libpq's variables behind our back."""
    monkeypatch.setenv(name, "x")

    taken = environment.take_away()

    assert "x" == taken[name]


@pytest.mark.parametrize("name", ["PATH", "HOME", "HOSTNAME", "LOGNAME", "LANG", "REQUESTS_CA_BUNDLE", "CI"])
def test_leaves_the_systems_variables(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't ours stays."""
    monkeypatch.setenv(name, "x")

    taken = environment.take_away()

    assert name not in taken


def test_gives_back_what_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the run the environment is what it was."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@h/d")

    environment.give_back(environment.take_away())

    assert "postgresql://u@h/d" == environment.take_away()["DATABASE_URL"]
