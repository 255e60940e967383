"""`python -m sherpa.db migrate|revert|migrations`: what `inv` offers, for containers without it."""

import sys

from sherpa.db.cli import main

sys.exit(main())
