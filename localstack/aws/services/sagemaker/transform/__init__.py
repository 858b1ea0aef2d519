"""Batch transform jobs: a model's own server gets every object of the input."""
