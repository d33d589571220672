"""Runs inside Synapse's process: waits, asks and writes for `core`. Imports `core`."""
