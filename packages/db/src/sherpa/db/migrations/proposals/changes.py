"""One change of a schema, both ways, and the words that a proposal speaks in."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sherpa.db.migrations.unfinished import MARK


class Phase(IntEnum):
    """When a change is due: each suffix is a file of its own, which needs the one before to be committed.

    What permits more comes first, what permits less last: code of the release before and of the one after run
    side by side in between. A reference (REFER, PROVE) may need a key that SETTLE made.
    VALIDATE and SETTLE share a file: what reads rows comes first, before any lock that others wait for.
    """

    EXPAND = 0
    INDEX = 1
    REQUIRE = 2
    VALIDATE = 3
    SETTLE = 4
    REFER = 5
    PROVE = 6
    CONTRACT = 7

    @property
    def transaction(self) -> bool:
        """Whether it runs in one transaction: an index that is built beside the traffic can't."""
        return self is not Phase.INDEX

    @property
    def suffix(self) -> str:
        """What is added to the name of a file that is not the only one."""
        return _SUFFIXES[self]


_SUFFIXES: Final = {
    Phase.EXPAND: "",
    Phase.INDEX: "_indexes",
    Phase.REQUIRE: "_required",
    Phase.VALIDATE: "_validated",
    Phase.SETTLE: "_validated",
    Phase.REFER: "_referring",
    Phase.PROVE: "_proved",
    Phase.CONTRACT: "_removed",
}


@dataclass(frozen=True, slots=True)
class Change:
    """Statements there and back, each in the order in which they run, and a line on the locks they take."""

    phase: Phase
    forwards: Sequence[str]
    backwards: Sequence[str]
    locks: str


def excused(statement: str, rules: str, reason: str) -> str:
    """Return the statement with the reason, in a few words, why Squawk's rules do not hold for it."""
    return f"-- squawk-ignore {rules} -- {reason}\n{statement}"


def explained(statement: str, remark: str) -> str:
    """Return the statement with a remark above it."""
    return f"-- {remark}\n{statement}"


def undecided(statement: str, remark: str) -> str:
    """Return the statement with a line that the runner refuses, until somebody has decided and deleted it."""
    return explained(f"{MARK} decide, and delete this line.\n{statement}", remark)


def instant(table: str) -> str:
    """Say that everybody is kept out, but for no time worth the name: the catalogue alone changes."""
    return f"ACCESS EXCLUSIVE on {table}, for an instant: no row is read or written."


def reading(table: str) -> str:
    """Say that rows are checked beside the traffic."""
    return f"SHARE UPDATE EXCLUSIVE on {table} while its rows are read: reading and writing go on."
