"""Timers and queries that produce samples. Imports `internals` and `core`."""
