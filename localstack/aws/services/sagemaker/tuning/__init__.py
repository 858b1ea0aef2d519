"""Hyperparameter tuning: proposals, the training jobs that try them, and their outcomes."""
