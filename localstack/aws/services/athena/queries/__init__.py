"""The run of one query: in DuckDB, within its limits, to a result in S3."""
