"""Timers and queries that produce samples."""
