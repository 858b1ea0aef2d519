"""Rows that were refused: how they are stored in quarantine, which are still open, and why."""
