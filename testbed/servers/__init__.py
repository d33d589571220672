"""Real servers as processes: Synapse, PostgreSQL, Redis, a browser."""
