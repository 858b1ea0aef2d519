"""Athena's SQL: its vocabulary, its meaning, and how DuckDB says it."""
