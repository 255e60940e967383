"""Typed settings from the environment."""
