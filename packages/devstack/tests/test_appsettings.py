"""The settings that deployed containers get: all of `.env`, with the addresses of Compose's network."""

import stat
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sherpa.config import load
from sherpa.config.dotenvfile import read_dotenv
from sherpa.devstack import appsettings
from sherpa.devstack.stack import Stack, StackSettings

ENV = """\
ENVIRONMENT=development
HOST=127.0.0.1
PORT=8093
DATABASE_URL=postgresql://sherpa:hu%40sh@127.0.0.1:5439/choice_sherpa?sslmode=disable
DATABASE_SSL_MODE=disable
REDIS_URL=redis://:hush@localhost:6399/2
SHUTDOWN_DRAIN_SECONDS=3
SHUTDOWN_GRACE_SECONDS=40
STRIPE_API_KEY='sk_test_quoted # not a comment'
"""


def make_stack(root: Path, text: str = ENV) -> Stack:
    """A checkout with this `.env`."""
    (root / ".env").write_text(text)
    return Stack(root, load(StackSettings, environ={}, dotenv=root / ".env"))


def read_inside(stack: Stack) -> dict[str, str]:
    """What a container reads from its settings file."""
    file = Path(appsettings.app_variables(stack, "image")["SHERPA_SETTINGS"])
    return {name: line.text for name, line in read_dotenv(file).lines.items()}


def test_servers_are_found_by_their_names_in_the_network(tmp_path: Path) -> None:
    """Hosts and ports are the containers' own; user, password, database and options stay."""
    inside = read_inside(make_stack(tmp_path))

    assert "postgresql://sherpa:hu%40sh@postgres:5432/choice_sherpa?sslmode=disable" == inside["DATABASE_URL"]
    assert "redis://:hush@redis:6379/2" == inside["REDIS_URL"]


def test_everything_else_is_passed_on(tmp_path: Path) -> None:
    """Each other setting arrives as `.env` has it; where to listen is the container's own."""
    inside = read_inside(make_stack(tmp_path))

    assert "sk_test_quoted # not a comment" == inside["STRIPE_API_KEY"]
    assert {"HOST", "PORT"}.isdisjoint(inside)


def test_file_is_readable_inside_and_nowhere_else(tmp_path: Path) -> None:
    """The container's user can read the file; its folder is closed to every other user of this machine."""
    file = Path(appsettings.app_variables(make_stack(tmp_path), "image")["SHERPA_SETTINGS"])

    assert 0o444 == stat.S_IMODE(file.stat().st_mode)
    assert 0o700 == stat.S_IMODE(file.parent.stat().st_mode)
    assert [file.name] == [path.name for path in file.parent.iterdir()]


def test_changed_settings_change_what_compose_sees(tmp_path: Path) -> None:
    """Compose replaces containers whose description changed; the same settings leave them alone."""
    stack = make_stack(tmp_path)
    first = appsettings.app_variables(stack, "image")

    again = appsettings.app_variables(stack, "image")
    (tmp_path / ".env").write_text(f"{ENV}LOG_LEVEL=debug\n")
    other = appsettings.app_variables(stack, "image")

    assert first == again
    assert first["SHERPA_SETTINGS_DIGEST"] != other["SHERPA_SETTINGS_DIGEST"]


def test_engine_waits_longer_than_the_api(tmp_path: Path) -> None:
    """The engine's patience exceeds drain and grace together, so it kills nothing that is finishing."""
    assert "48s" == appsettings.app_variables(make_stack(tmp_path), "image")["SHERPA_STOP_GRACE"]


def test_api_is_published_where_env_says(tmp_path: Path) -> None:
    """HOST and PORT of `.env` are the address on this machine."""
    told = appsettings.app_variables(make_stack(tmp_path), "image")

    assert ("127.0.0.1", "8093") == (told["SHERPA_API_HOST"], told["SHERPA_API_PORT"])


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1))
def test_any_value_survives_the_way(value: str) -> None:
    """Whatever characters a value has, the container reads the same value."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "settings.env")
        file.write_text(f"NAME={appsettings.quote(value)}\n")

        assert {"NAME": value} == {name: line.text for name, line in read_dotenv(file).lines.items()}
