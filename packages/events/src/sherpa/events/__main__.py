"""`python -m sherpa.events status|dead-letters|replay|tail|prune|groups`: what `inv events …` offers."""

import signal
import sys
from io import TextIOWrapper

IS_COMMAND = __name__ == "__main__"  # merely imported, this module changes nothing
on_interrupt = signal.getsignal(signal.SIGINT)
if IS_COMMAND and on_interrupt is signal.default_int_handler:
    # While the modules load nothing is under way: Ctrl-C ends the process, without Python's traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from sherpa.events.cli import main  # noqa: E402 (what it loads may be interrupted)

if IS_COMMAND:
    signal.signal(signal.SIGINT, on_interrupt)
    # A container's first process is deaf to signals it has no handler for: SIGTERM ends us as Ctrl-C does.
    if on_interrupt is signal.default_int_handler:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if isinstance(sys.stdout, TextIOWrapper):  # None where it was closed
        # As stderr does by itself: a character that the output has no code for must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
