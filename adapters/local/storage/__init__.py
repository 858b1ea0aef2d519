"""Blobs in the home folder; state and counters in its SQLite files."""
