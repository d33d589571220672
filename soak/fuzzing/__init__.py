"""Random configurations, and very many iterations."""
