"""Real servers from wheels: PostgreSQL 16 and Valkey, run by this machine's own user, on loopback only."""
