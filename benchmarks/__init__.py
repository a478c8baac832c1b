"""Benchmarks: how good and how fast, written to `results/` as tables. Nothing here is asserted by tests."""
