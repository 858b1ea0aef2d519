"""Vertex AI's batch prediction: a model's own server answers for the rows of files or of a table."""
