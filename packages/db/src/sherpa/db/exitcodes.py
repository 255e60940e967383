"""How the commands on the schema end; scripts rely on these numbers."""

from typing import Final

WELL: Final = 0
FAILED: Final = 1
WRONG_USE: Final = 2
PENDING: Final = 3
HISTORY: Final = 4
IRREVERSIBLE: Final = 5
DRIFT: Final = 6
