"""What is wrong on this machine, in this checkout or with what runs, and the command that mends it."""
