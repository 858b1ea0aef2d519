"""Tables and views in BigQuery."""
