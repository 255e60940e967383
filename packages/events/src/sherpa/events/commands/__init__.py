"""The operators' commands, a module each: `run(arguments)` does one and returns its exit code."""
