"""Sums by arm and day from the warehouse, and whether the log's assignments are those of the hash."""
