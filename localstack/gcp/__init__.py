"""A Google Cloud on this machine that executes:

Vertex AI and what it stands on, for the genuine SDKs.
"""
