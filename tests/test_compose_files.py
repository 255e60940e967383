"""What the compose files promise, read from the files themselves: no Docker is needed for these."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sherpa.config import load
from sherpa.devstack import appsettings
from sherpa.devstack.backends import docker
from sherpa.devstack.compose import find_compose
from sherpa.devstack.containers import DockerError
from sherpa.devstack.stack import Stack, StackSettings

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "infra/docker"
FILES = (FOLDER / "compose.yaml", FOLDER / "compose.test.yaml")
SERVERS = ("postgres", "redis")
APP = ("migrate", "api", "worker")
SERVED = ("api", "worker")


class Loader(yaml.SafeLoader):
    """YAML with Compose's `!override`, which stands for the value that it is written before."""


def construct_override(loader: Loader, node: yaml.Node) -> Any:
    """Read the value behind `!override`."""
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else None


Loader.add_constructor("!override", construct_override)


def read(file: Path) -> dict[str, Any]:
    """Parse a compose file."""
    parsed: dict[str, Any] = yaml.load(file.read_text(), Loader)
    return parsed


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a nested mapping, with its value."""
    for child in value if isinstance(value, list) else []:
        yield from walk(child)
    for key, child in value.items() if isinstance(value, dict) else []:
        yield key, child
        yield from walk(child)


def merged(*files: Path) -> dict[str, Any]:
    """What Compose itself makes of the files, interpolated; skips where there is no Compose v2."""
    try:
        command = find_compose()
    except DockerError as error:
        pytest.skip(error.problem)
    arguments = [word for file in files for word in ("--file", str(file))]
    done = subprocess.run(
        [*command, *arguments, "--profile", "app", "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture
def services() -> dict[str, Any]:
    """The services of compose.yaml."""
    found: dict[str, Any] = read(FILES[0])["services"]
    return found


def test_images_are_the_promised_ones(services: dict[str, Any]) -> None:
    """PostgreSQL 16 and Redis 7 come from the small official images."""
    expected = {"postgres": "postgres:16-alpine", "redis": "redis:7-alpine"}

    assert expected == {name: services[name]["image"] for name in SERVERS}


@pytest.mark.parametrize(
    ("service", "words"),
    [("postgres", "pg_isready -h 127.0.0.1"), ("redis", "redis-cli -h 127.0.0.1 ping")],
)
def test_servers_are_checked_every_five_seconds(services: dict[str, Any], service: str, words: str) -> None:
    """The health checks ask over TCP, because the image's first server answers on the socket alone."""
    check = services[service]["healthcheck"]

    assert words in check["test"][-1]
    assert "5s" == check["interval"]


def test_data_of_both_servers_has_a_named_volume(services: dict[str, Any]) -> None:
    """Data lives in volumes with names, so that a removed container loses nothing."""
    document = read(FILES[0])

    assert ["postgres-data:/var/lib/postgresql/data"] == services["postgres"]["volumes"]
    assert ["redis-data:/data"] == services["redis"]["volumes"]
    assert {"postgres-data", "redis-data"} == set(document["volumes"])


@pytest.mark.parametrize("service", SERVERS)
def test_servers_are_published_on_loopback_only(service: str) -> None:
    """No file publishes a database to anything but this machine."""
    ports = [port for file in FILES for port in read(file)["services"][service]["ports"]]

    assert 2 == len(ports)
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_stands_in_the_way_of_a_second_clone_or_an_older_engine(file: Path) -> None:
    """No fixed container or network names, and no `start_interval`, which engines before 25 refuse."""
    keys = {key for key, _ in walk(read(file))}

    assert keys.isdisjoint({"container_name", "start_interval", "external", "build", "network_mode"})


def test_redis_keeps_what_it_was_told(services: dict[str, Any]) -> None:
    """Redis writes every change down and evicts nothing: streams and locks live in it."""
    command = " ".join(services["redis"]["command"])

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_servers_carry_the_stacks_identity(services: dict[str, Any]) -> None:
    """PostgreSQL and Redis say which stack they belong to, where a client can ask."""
    identity = "${SHERPA_IDENTITY:-choice-sherpa}"

    assert identity == services["postgres"]["environment"]["IDENTITY"]
    assert '-c "cluster_name=$$IDENTITY"' in services["postgres"]["command"][-1]
    assert ["--syslog-ident", identity] == services["redis"]["command"][-2:]


def test_no_password_is_visible(services: dict[str, Any]) -> None:
    """Passwords come as files: no command line and no variable of a container holds one."""
    visible = json.dumps([[each.get("command"), each.get("environment")] for each in services.values()])

    assert "/run/secrets/postgres_password" == services["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"]
    assert not re.search(r"SHERPA_\w*(PASSWORD|ACCESS|URL)", visible)
    assert ["/srv/.env"] * len(APP) == [each["target"] for name in APP for each in services[name]["secrets"]]


@pytest.mark.parametrize("service", SERVED)
def test_app_profile_migrates_before_it_serves(services: dict[str, Any], service: str) -> None:
    """API and worker start when a one-shot migration has succeeded, all in the profile `app` only."""
    needs = {name: each["condition"] for name, each in services[service]["depends_on"].items()}

    expected = {
        "migrate": "service_completed_successfully",
        "postgres": "service_healthy",
        "redis": "service_healthy",
    }
    assert expected == needs
    assert "no" == services["migrate"]["restart"]
    assert {"postgres": {"condition": "service_healthy"}} == services["migrate"]["depends_on"]
    assert dict.fromkeys(SERVERS) | {name: ["app"] for name in APP} == {
        name: each.get("profiles") for name, each in services.items()
    }


@pytest.mark.parametrize("service", APP)
def test_app_runs_with_the_least_rights(services: dict[str, Any], service: str) -> None:
    """Our containers can't write to their file system, have no capabilities and gain none."""
    app = services[service]

    assert app["read_only"] is True
    assert ["ALL"] == app["cap_drop"]
    assert ["no-new-privileges:true"] == app["security_opt"]


@pytest.mark.parametrize("service", APP)
def test_our_image_is_never_pulled(services: dict[str, Any], service: str) -> None:
    """A registry's image that happens to have our image's name never runs."""
    assert "never" == services[service]["pull_policy"]


def test_every_variable_is_ours_and_has_a_default() -> None:
    """The caller's variables can't change a stack by accident, and the files can be read without any."""
    text = "".join(file.read_text() for file in FILES)

    used = re.findall(r"(?<!\$)\$\{?(\w+)([^}]*)\}", text)

    assert used
    assert [] == [name for name, _ in used if not name.startswith("SHERPA_")]
    assert [] == [name for name, rest in used if not rest.startswith(":-")]


def test_inv_passes_every_variable_and_the_page_names_it(tmp_path: Path) -> None:
    """What the files take is what `inv` gives, and what docs/deployment.md says of them."""
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://a:b@127.0.0.1/c\nREDIS_URL=redis://127.0.0.1\n")
    stack = Stack(tmp_path, load(StackSettings, environ={}, dotenv=tmp_path / ".env"))
    given = {*docker.variables(stack), *appsettings.app_variables(stack, "image")}

    taken = {name for file in FILES for name in re.findall(r"SHERPA_[A-Z_]+[A-Z]", file.read_text())}

    assert given == taken
    assert taken == set(re.findall(r"`(SHERPA_\w+)`", (ROOT / "docs/deployment.md").read_text()))


def test_compose_reads_the_file_without_any_variable() -> None:
    """Compose accepts the file as it stands, and publishes the usual ports; each worker has a free one."""
    document = merged(FILES[0])

    published = {
        name: [(port["host_ip"], port.get("published")) for port in service.get("ports", [])]
        for name, service in document["services"].items()
    }
    assert "choice-sherpa" == document["name"]
    expected = {
        "postgres": [("127.0.0.1", "5432")],
        "redis": [("127.0.0.1", "6379")],
        "migrate": [],
        "api": [("127.0.0.1", "8080")],
        "worker": [("127.0.0.1", None)],
    }
    assert expected == published


def test_test_override_moves_the_ports() -> None:
    """The override replaces the ports by 5433 and 6380, and the project by one with data of its own."""
    document = merged(*FILES)

    published = {name: [p["published"] for p in document["services"][name]["ports"]] for name in SERVERS}
    assert {"postgres": ["5433"], "redis": ["6380"]} == published
    assert "choice-sherpa-test" == document["name"]
    assert all("volumes" not in document["services"][name] for name in SERVERS)


def test_test_override_names_its_ports() -> None:
    """The same, read from the file alone, where there is no Compose."""
    services = read(FILES[1])["services"]

    assert ["127.0.0.1:5433:5432"] == services["postgres"]["ports"]
    assert ["127.0.0.1:6380:6379"] == services["redis"]["ports"]
