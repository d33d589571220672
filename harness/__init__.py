"""A real Synapse as a process, for the tests, the demo and the benchmarks."""
