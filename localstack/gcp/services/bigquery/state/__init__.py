"""The state of one stack's BigQuery: the catalog, the warehouse, the jobs."""
