"""The broker behind a Protocol: Redis Streams in production, memory in tests."""
