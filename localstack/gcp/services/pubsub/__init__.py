"""Pub/Sub: topics, subscriptions with their backlogs, pulls by request and by stream, and
subscriptions that write into BigQuery.
"""
