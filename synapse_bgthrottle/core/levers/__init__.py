"""Pauses, overrides and releases. Imports `config`, `units`."""
