"""The database: engine and pool, tables, migrations, what may go wrong."""
