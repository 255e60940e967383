"""Handlers: what they declare, and the loop that gives each event to each of them once."""
