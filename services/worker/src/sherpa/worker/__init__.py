"""The process that runs the relay and the handlers: wiring only."""
