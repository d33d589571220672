"""The module's own tables: levers, history, hours. Imports `internals` and `core`."""
