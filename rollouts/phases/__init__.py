"""Decisions of each phase of a rollout."""
