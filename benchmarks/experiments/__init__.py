"""Benchmarks of experiments, replays and monitors."""
