"""Running one migration: in a transaction or by single statements, its limits, and who is in its way."""
