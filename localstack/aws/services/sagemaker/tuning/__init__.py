"""Hyperparameter tuning: proposals, the training jobs that try them, and what came of them."""
