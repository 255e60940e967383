"""The migration files, and nothing else: Piccolo's own tools import every other module that lies here."""
