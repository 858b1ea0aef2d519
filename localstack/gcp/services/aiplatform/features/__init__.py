"""Vertex AI Feature Store: groups and features (registry), online stores, feature views, their
syncs from BigQuery, and reads by key.
"""
