"""Consumers of streams of a project: found by name, run in threads, started as a step."""
