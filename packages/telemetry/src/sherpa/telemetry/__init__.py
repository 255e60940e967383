"""Logs, set up once per process and the same everywhere; metrics and traces grow here."""
