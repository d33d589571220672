"""Reads what servers produce: logs, metrics, batches."""
