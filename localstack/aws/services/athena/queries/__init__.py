"""How one query runs: in DuckDB, within its limits, to a result in S3."""
