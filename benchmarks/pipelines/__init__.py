"""Benchmarks of pipelines, training and evaluation."""
