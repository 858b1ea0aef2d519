"""Online features in SQLite."""
