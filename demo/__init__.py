"""`make demo`: a real Synapse on SQLite, its real pending updates, and the module."""
