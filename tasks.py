"""What a developer does, in the order of a working day. Each task is one call into a package."""

from invoke import Context, task
