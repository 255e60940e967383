"""The schema's history: migration files, the runner that applies and reverts them, and what is applied where."""
