"""The operations on pipelines and their executions."""
