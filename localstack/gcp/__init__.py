"""A Google Cloud on this machine that executes.

Vertex AI and what it stands on, for Google's own SDKs.
"""
