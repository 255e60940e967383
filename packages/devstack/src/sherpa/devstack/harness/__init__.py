"""Databases for tests, real and isolated: servers, databases, the proof that they are clean."""
