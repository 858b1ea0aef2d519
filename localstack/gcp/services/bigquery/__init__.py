"""BigQuery: datasets, tables, jobs and queries, run by DuckDB."""
