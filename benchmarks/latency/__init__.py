"""What updates do to clients, by controller."""
