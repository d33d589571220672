"""Reads the configuration from YAML into frozen settings, or finds all its problems at once."""
