"""Tests of the life of a run: start, ramp, stop, close."""
