"""Real, isolated databases for tests: servers of a session, databases of a worker, and the proof that they are clean."""
