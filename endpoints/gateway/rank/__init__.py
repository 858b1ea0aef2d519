"""Scores of the models, and the order of what is shown."""
