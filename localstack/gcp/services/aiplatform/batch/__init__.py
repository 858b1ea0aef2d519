"""Vertex AI's batch prediction: a model's own server predicts for the rows of files or a table."""
