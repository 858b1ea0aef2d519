"""Pub/Sub: topics, subscriptions with backlogs, pulls, streams, and writes into BigQuery."""
