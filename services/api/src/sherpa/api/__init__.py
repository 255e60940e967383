"""The thin Starlette application."""
