"""Vertex AI, a folder for each part of its API."""
