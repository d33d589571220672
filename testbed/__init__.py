"""Tools for tests, benchmarks and soak runs. Not shipped."""
