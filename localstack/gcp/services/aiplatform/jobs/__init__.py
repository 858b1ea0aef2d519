"""Vertex AI Training: custom jobs whose containers are processes of this machine."""
