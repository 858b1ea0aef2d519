"""Verbs by which people handle a rollout, and checks before one starts."""
