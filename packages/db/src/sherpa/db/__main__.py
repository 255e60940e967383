"""`python -m sherpa.db migrate|revert|migrations`: what `inv` offers, for containers without it."""

import signal
import sys

from sherpa.db.cli import main

if __name__ == "__main__":
    # A container's first process is deaf to signals it has no handler for: SIGTERM ends us as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(main())
