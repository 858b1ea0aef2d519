"""The two ways in for events: batches (ingest) and single events (emit)."""
