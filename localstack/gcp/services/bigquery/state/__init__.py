"""What one stack's BigQuery holds: the catalog, the warehouse, the jobs."""
