"""What the containers of `inv deploy` are told: `.env`, as a file, with the addresses of Compose's network.

A file and not variables, so that `docker inspect` shows no secret.
"""

import hashlib
import os
from pathlib import Path

from sherpa.config.dotenvfile import read_dotenv
from sherpa.devstack import envfile
from sherpa.devstack.backends.docker import INSIDE
from sherpa.devstack.stack import Service, Stack, state_directory

VARIABLES = {Service.POSTGRES: "DATABASE_URL", Service.REDIS: "REDIS_URL"}
# The image has its own; these say where on this machine the containers' ports are published.
OUTSIDE = frozenset({"HOST", "PORT", "WORKER_HOST", "WORKER_PORT"})
# The engine waits so much longer for a process than that does itself, which so always has the last word.
ENGINE_PATIENCE_SECONDS = 5


def app_variables(stack: Stack, image: str) -> dict[str, str]:
    """Write the settings file and return what compose.yaml's profile `app` takes from the stack."""
    settings = _write_settings(stack)
    return {
        "SHERPA_IMAGE": image,
        **_published(stack, Service.API),
        **_published(stack, Service.WORKER),
        "SHERPA_STOP_GRACE": _patience(stack, Service.API),
        "SHERPA_WORKER_STOP_GRACE": _patience(stack, Service.WORKER),
        "SHERPA_SETTINGS": str(settings),
        "SHERPA_SETTINGS_DIGEST": hashlib.sha256(settings.read_bytes()).hexdigest()[:12],
    }


def _published(stack: Stack, app: Service) -> dict[str, str]:
    host = stack.host(app)
    return {
        f"SHERPA_{app.upper()}_HOST": f"[{host}]" if ":" in host else host,
        f"SHERPA_{app.upper()}_PORT": str(stack.port(app)),
    }


def _patience(stack: Stack, app: Service) -> str:
    return f"{stack.stop_seconds(app) + ENGINE_PATIENCE_SECONDS:.0f}s"


def _write_settings(stack: Stack) -> Path:
    """Write what the containers mount: readable for their user, in a folder that only ours can enter."""
    folder = state_directory(stack.root) / "deploy"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    target = folder / "settings.env"
    work = folder / f"settings.{os.getpid()}.new"
    work.write_text(settings_inside(stack))
    work.chmod(0o444)
    work.replace(target)
    return target


def settings_inside(stack: Stack) -> str:
    """`.env`, secrets and all, as text for Compose's network, where the servers have other addresses."""
    values = {name: line.text for name, line in read_dotenv(envfile.path_of(stack.root)).lines.items()}
    for service, variable in VARIABLES.items():
        inside = stack.url(service).replace(host=service.value, port=INSIDE[service])
        values[variable] = inside.reveal()
    return "".join(f"{name}={quote(text)}\n" for name, text in values.items() if name not in OUTSIDE)


def quote(text: str) -> str:
    """The text as a value in such a file."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
