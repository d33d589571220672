"""Faults around a server, and the worlds in which they happen."""
