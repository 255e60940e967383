"""The logs of the stack's processes, one or all, to their end or as they grow."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sherpa.devstack.appprocess import AppProcess
from sherpa.devstack.backends.backend import Command
from sherpa.devstack.processes import tail
from sherpa.devstack.report import present_backend
from sherpa.devstack.stack import Service, Stack

LINES = 200
POLL_SECONDS = 0.2


def show(stack: Stack, services: list[Service], out: TextIO, *, follow: bool) -> None:
    """Write the last lines of these services' logs; with `follow` go on until interrupted."""
    sources = {service: source for service in services if (source := _source(stack, service, follow=follow))}
    if not sources:
        out.write("There are no logs yet.\n")
    prefix = max((len(service) for service in services), default=0)
    threads = []
    for service, source in sources.items():
        label = f"{service:<{prefix}} | " if len(services) > 1 else ""
        thread = threading.Thread(target=_copy, args=(_lines(source, follow=follow), label, out), daemon=True)
        thread.start()
        if not follow:
            # One after the other, so that each log stays in one piece.
            thread.join()
        threads.append(thread)
    for thread in threads:
        thread.join()


def _source(stack: Stack, service: Service, *, follow: bool) -> Path | Command | None:
    backend = present_backend(stack)
    if service in backend.states():
        # Our own processes are there, too, when `inv deploy` runs them.
        return backend.log(service, follow=follow)
    log = AppProcess(stack.root, service).log
    return log if log.exists() else None


def _copy(lines: Iterator[str], label: str, out: TextIO) -> None:
    # Who stops reading (`… | head`) has read enough.
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            out.write(f"{label}{line.rstrip()}\n")
            out.flush()


def _lines(source: Path | Command, *, follow: bool) -> Iterator[str]:
    if isinstance(source, Command):
        return _printed_by(source)
    return _growing(source) if follow else iter(tail(source, lines=LINES).splitlines())


def _printed_by(command: Command) -> Iterator[str]:
    with subprocess.Popen(
        list(command.arguments),
        env={**os.environ, **command.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield from process.stdout or ()


def _growing(file: Path) -> Iterator[str]:
    """The file's last lines, then each new one, for ever; a file put aside is followed by its successor."""
    yield from tail(file, lines=LINES).splitlines()
    position = file.stat().st_size
    while True:
        if file.exists() and (size := file.stat().st_size) != position:
            with file.open(errors="replace") as text:
                text.seek(position if size > position else 0)
                yield from text
                position = text.tell()
        time.sleep(POLL_SECONDS)
