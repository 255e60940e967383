"""Reads a file that holds settings: a small regular one.

A pipe that nobody writes to would be waited for, a disk read into memory, for ever.
"""

import os
from pathlib import Path
from stat import S_ISREG

LARGEST_KB = 64


class UnreadableFileError(Exception):
    """A file can't be read. The message completes "a file that …", without its path or content."""


class AbsentFileError(UnreadableFileError):
    """There is no such file."""


def read_small_file(path: Path) -> str:
    """Return the text of a regular file in UTF-8, without a byte order mark.

    Raises AbsentFileError, or another UnreadableFileError.
    """
    try:
        status = path.stat()
        if not _is_nothing(status) and (not S_ISREG(status.st_mode) or status.st_size > LARGEST_KB * 1024):
            raise UnreadableFileError(f"is not regular, or over {LARGEST_KB} KB")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AbsentFileError("does not exist") from None
    except PermissionError:
        raise UnreadableFileError("this process may not read") from None
    except (OSError, ValueError):  # a UnicodeDecodeError would carry the file's bytes
        raise UnreadableFileError("can't be read as text") from None


def _is_nothing(status: os.stat_result) -> bool:
    """Whether it is the null device, which people put in place of a file that they want empty."""
    return os.path.samestat(status, Path(os.devnull).stat())
