"""Runs the tests on each version of Synapse, and on each Python; `make compat`."""
