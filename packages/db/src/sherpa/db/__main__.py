"""`python -m sherpa.db migrate|revert|migrations|migration`: what `inv` offers, for containers without it."""

import gc
import os
import signal
import sys
from io import TextIOWrapper

IS_COMMAND = __name__ == "__main__"  # merely imported, this module changes nothing
on_interrupt = signal.getsignal(signal.SIGINT)
if IS_COMMAND:
    # While the modules load nothing is under way: Ctrl-C ends the process, without Python's traceback.
    if on_interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # What is imported stays to the end: to look through it for garbage takes a tenth of a short run.
    gc.disable()

from sherpa.db.cli import main  # noqa: E402 (after gc.disable)
from sherpa.db.exitcodes import FAILED  # noqa: E402


def leave(code: int) -> None:
    """End the process without taking the interpreter apart, which takes longer than a run's queries.

    By now every line is written, the session is closed, and no thread of ours runs.
    """
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # either is None where it was closed (`>&-`)
            stream.flush()
    except OSError:
        code = code or FAILED  # the help is lost: all else is flushed line by line
    os._exit(code)


if IS_COMMAND:
    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, on_interrupt)
    # A container's first process is deaf to signals it has no handler for: SIGTERM ends us as Ctrl-C does,
    # even where that is ignored, as in a job that a script starts with `&`.
    if on_interrupt == signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    else:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if isinstance(sys.stdout, TextIOWrapper):  # None where it was closed
        # As stderr does by itself: a character that the output has no code for must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    leave(main())
