"""Files of load jobs: CSV, JSON lines and Parquet, and the schemas that they show."""
