"""Compute a model's transforms: the same columns for training, evaluation and the model server."""
