"""Benchmarks of endpoints and of the gateway."""
