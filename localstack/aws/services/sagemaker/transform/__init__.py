"""Batch transform jobs: a model's own server is asked about every object of the input."""
