"""Benchmarks of the offline stacks of AWS and Google Cloud."""
