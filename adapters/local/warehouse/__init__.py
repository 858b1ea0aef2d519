"""The warehouse of this machine: Parquet files in folders, read by DuckDB."""
