"""Tests of results, from a log or a run to a verdict."""
