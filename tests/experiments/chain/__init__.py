"""Tests of whole experiments, from a start to a close, on every target."""
