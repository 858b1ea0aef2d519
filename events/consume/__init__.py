"""Consumers of streams: one runner with a lease and checkpoints, and kinds as pure functions."""
