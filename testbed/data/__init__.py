"""Databases with history, and clients' load."""
