"""Databases for tests, real and isolated: a session's servers, a worker's database, the proof that it is clean."""
