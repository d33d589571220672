"""Faults, kills and misbehaving updates around real servers."""
