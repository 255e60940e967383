"""Every migration's SQL through Squawk: what would hurt a database in use is stopped, the safe way named."""
