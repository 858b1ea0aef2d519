"""Online features: feature views of an online store, synced from BigQuery."""
