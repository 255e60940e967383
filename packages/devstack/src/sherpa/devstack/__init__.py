"""PostgreSQL and Redis on this machine, and in tests. For development only."""
