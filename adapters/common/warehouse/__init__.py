"""Rules for tables, relations and queries, the same on every target, and for the clouds' SQL."""
