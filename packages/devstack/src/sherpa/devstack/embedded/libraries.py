"""System libraries that PostgreSQL's programs load, and the package that holds each on the usual systems."""

import os
import platform
import re
import sys

# soname prefix → (Debian and Ubuntu, Fedora, Homebrew)
PACKAGES = {
    "libxml2": ("libxml2", "libxml2", "libxml2"),
    "libreadline": ("libreadline8", "readline", "readline"),
    "libgssapi_krb5": ("libgssapi-krb5-2", "krb5-libs", "krb5"),
    "libssl": ("libssl3", "openssl-libs", "openssl@3"),
    "libcrypto": ("libssl3", "openssl-libs", "openssl@3"),
    "libzstd": ("libzstd1", "libzstd", "zstd"),
    "liblz4": ("liblz4-1", "lz4-libs", "lz4"),
    "libz": ("zlib1g", "zlib", "zlib"),
}

# The loader's words on Linux (glibc), and on macOS.
_COMPLAINTS = (
    re.compile(r"error while loading shared libraries: ([^:\s]+)"),
    re.compile(r"Library not loaded: \S*?([^/\s]+)$", re.MULTILINE),
)


def missing_library(output: str) -> str | None:
    """The library that a program's output complains about, such as `libxml2.so.2`; None when it doesn't."""
    found = (complaint.search(output) for complaint in _COMPLAINTS)
    return next((match.group(1) for match in found if match), None)


def package_line(library: str) -> str:
    """One line that says how to install the package which holds this library."""
    names = _packages(library)
    if names is None:
        return f"Install the package of your system that holds {library}."
    debian, fedora, macos = names
    return (
        f"install it with: apt-get install {debian} (Debian, Ubuntu), dnf install {fedora} (Fedora), "
        f"brew install {macos} (macOS)"
    )


def install_command(library: str) -> str:
    """The command that installs it on this very system, as far as we know the system; else `package_line`."""
    names = _packages(library)
    manager = _manager()
    if names is None or manager is None:
        return package_line(library)
    number, command = manager
    sudo = "" if os.geteuid() == 0 or command.startswith("brew") else "sudo "
    return f"{sudo}{command} {names[number]}"


def _packages(library: str) -> tuple[str, str, str] | None:
    return PACKAGES.get(library.split(".", 1)[0])


def _manager() -> tuple[int, str] | None:
    """Which column of PACKAGES counts here, and the command that installs from it."""
    if sys.platform == "darwin":
        return 2, "brew install"
    try:
        facts = platform.freedesktop_os_release()
    except OSError:
        return None
    family = {facts.get("ID", ""), *facts.get("ID_LIKE", "").split()}
    if family & {"debian", "ubuntu"}:
        return 0, "apt-get install -y"
    return (1, "dnf install -y") if family & {"fedora", "rhel"} else None
