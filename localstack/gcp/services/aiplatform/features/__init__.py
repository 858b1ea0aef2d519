"""Vertex AI Feature Store: groups, features, online stores, views, syncs, and reads by key."""
