"""Tables and views in BigQuery; and users' own data."""
