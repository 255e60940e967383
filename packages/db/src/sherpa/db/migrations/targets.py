"""Which migrations a command is about: those up to a target, the newest few, everything."""

from sherpa.db.migrations.errors import TargetError
from sherpa.db.migrations.files import complete
from sherpa.db.migrations.status import Status


def complete_forwards(to: str | None, status: Status) -> str | None:
    """Return the whole ID of the target, or raise a `TargetError` when the database is already beyond it."""
    if to is None:
        return None
    target = complete(to, status.known_ids)
    if target not in status.pending and status.applied_ids and target < status.applied_ids[-1]:
        raise TargetError(
            f"The database is already at {status.applied_ids[-1]}, beyond {target}. "
            f"To go back, use `inv revert --to {target}`."
        )
    return target


def choose_pending(status: Status, target: str | None) -> tuple[str, ...]:
    """Return the pending migrations up to the target, in the order in which they apply."""
    return tuple(each for each in status.pending if target is None or each <= target)


def choose_applied(status: Status, *, steps: int, to: str | None, everything: bool) -> tuple[str, ...]:
    """Return what to revert, newest first; raise a `TargetError` for what is not applied."""
    newest_first = status.applied_ids[::-1]
    if everything:
        return newest_first
    if to is not None:
        target = complete(to, status.known_ids)
        if target not in newest_first:
            raise TargetError(f"{target} is not applied, so there is no way back to it: use `inv migrate`.")
        return tuple(each for each in newest_first if each > target)
    if newest_first and steps > len(newest_first):
        raise TargetError(
            f"{steps} steps back are more than the {len(newest_first)} that are applied: use --all."
        )
    return newest_first[:steps]
