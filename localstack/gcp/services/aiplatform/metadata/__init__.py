"""Vertex ML Metadata and TensorBoard: contexts, executions, artifacts, lineage, time series.

What Vertex AI Experiments use of them.
"""
