"""Tests of the tools: testbed, benchmarks, soak, compatibility."""
