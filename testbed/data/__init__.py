"""Databases with history, and the load of clients."""
