"""`python -m sherpa.events status|dead-letters|replay|tail|prune|groups`: what `inv events …` offers."""

import signal
import sys
from io import TextIOWrapper

from sherpa.events.cli import main

if __name__ == "__main__":
    # A container's first process is deaf to signals it has no handler for: SIGTERM ends us as Ctrl-C does.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    if isinstance(sys.stdout, TextIOWrapper):  # None where it was closed
        # As stderr does by itself: a character that the output has no code for must not end a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
