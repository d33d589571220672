"""What the project is tried on: not shipped, and shared by tests, benchmarks and soak."""
