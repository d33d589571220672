"""Examples for property tests."""
