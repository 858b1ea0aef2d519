"""Tests of an experiment's definition and buckets."""
