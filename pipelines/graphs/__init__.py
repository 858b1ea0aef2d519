"""The graph of a pipeline: its steps and conditions, and the documents that other engines read."""
