"""Data migrations in batches of a key's range, each its own transaction: `Batches` is what a file says."""

from sherpa.db.migrations.batches.walk import Batches

__all__ = ["Batches"]
