"""Benchmarks of events and of the feature store."""
