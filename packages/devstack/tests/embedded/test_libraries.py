"""A missing system library is named, with the package that holds it."""

import pytest

from sherpa.devstack.embedded.libraries import missing_library, package_line

LINUX = (
    "/x/bin/postgres: error while loading shared libraries: libxml2.so.2: cannot open shared object file: "
    "No such file or directory"
)
MACOS = (
    "dyld[512]: Library not loaded: /opt/homebrew/opt/libxml2/lib/libxml2.16.dylib\n"
    "  Referenced from: /x/bin/postgres"
)


@pytest.mark.parametrize(("output", "library"), [(LINUX, "libxml2.so.2"), (MACOS, "libxml2.16.dylib")])
def test_names_the_library(output: str, library: str) -> None:
    """The loader's complaint is understood on Linux and on macOS."""
    assert missing_library(output) == library


def test_a_version_is_no_complaint() -> None:
    """A program that loads lacks nothing."""
    assert missing_library("postgres (PostgreSQL) 16.15\n") is None


@pytest.mark.parametrize("library", ["libxml2.so.2", "libxml2.16.dylib"])
def test_names_a_package_per_system(library: str) -> None:
    """The remedy has a command for Debian and Ubuntu, Fedora and macOS."""
    line = package_line(library)

    assert "apt-get install libxml2 (Debian, Ubuntu)" in line
    assert "dnf install libxml2 (Fedora)" in line
    assert "brew install libxml2 (macOS)" in line


def test_unknown_library_is_still_named() -> None:
    """A library that is not in the table is named all the same."""
    assert "libodd.so.3" in package_line("libodd.so.3")
