"""The commands on the schema, a module each: `run(arguments)` does one and returns its exit code."""
