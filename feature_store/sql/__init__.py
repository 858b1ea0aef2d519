"""The neutral subset of DuckDB's SQL, which every target can say with one meaning."""
