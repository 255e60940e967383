"""The pytest plugin: real, migrated, isolated databases for tests."""
