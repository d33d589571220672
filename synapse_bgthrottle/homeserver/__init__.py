"""Runs inside Synapse's process: waits, queries and writes for `core`."""
