"""Lets Piccolo's own command work on this database (`PICCOLO_CONF=sherpa.db.piccolo_conf piccolo ...`).

Importing it reads the settings and fails with their faults; only that command should.
"""

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine

from sherpa.config import load
from sherpa.db.dsn import connect_options
from sherpa.db.migrations.settings import MigrationSettings

# Piccolo's plain engine: its command runs query after query and needs neither our pool nor our transactions.
DB = PostgresEngine(config=connect_options(load(MigrationSettings).database, "piccolo"))
APP_REGISTRY = AppRegistry(apps=["sherpa.db.piccolo_app"])
