"""The schema's history: the migration files, the runner that applies and reverts them, what is applied."""
