"""The model server: one process that serves one model."""
