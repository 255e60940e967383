"""Three ways to have PostgreSQL and Redis: from Docker, from wheels, or from elsewhere."""
