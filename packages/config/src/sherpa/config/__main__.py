"""`python -m sherpa.config`: the effective settings."""

import sys

from sherpa.config.cli import main

if __name__ == "__main__":
    sys.exit(main())
