"""Tests of what our servers of HTTP share."""
