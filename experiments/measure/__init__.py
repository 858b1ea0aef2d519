"""Sums by arm and day from the warehouse, and an audit of the log's assignments."""
