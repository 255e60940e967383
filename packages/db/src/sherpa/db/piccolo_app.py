"""Tells Piccolo's own tools which tables and migrations are ours."""

from piccolo.conf.apps import AppConfig

from sherpa.db.migrations.files import APP_NAME, VERSIONS
from sherpa.db.tables import TABLES

APP_CONFIG = AppConfig(app_name=APP_NAME, migrations_folder_path=VERSIONS, table_classes=list(TABLES))
