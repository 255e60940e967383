"""What the commands on the schema need to know: where the database is, and nothing else."""

from dataclasses import dataclass

from sherpa.config import DatabaseSettings


@dataclass(frozen=True)
class MigrationSettings:
    """The one section that migrating reads; Stripe's keys and the like may be absent."""

    database: DatabaseSettings
