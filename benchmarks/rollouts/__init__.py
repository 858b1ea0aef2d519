"""Benchmarks of rollouts."""
