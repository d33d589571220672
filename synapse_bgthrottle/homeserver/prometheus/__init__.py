"""The Prometheus metrics. Imports `internals` and `core`."""
