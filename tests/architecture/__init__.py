"""Rules on imports, in addition to the import contracts."""
