"""Athena's SQL: what is allowed, what it means, and how DuckDB says it."""
