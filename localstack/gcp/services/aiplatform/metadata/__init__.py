"""Vertex ML Metadata and TensorBoard, as Vertex AI Experiments use them: contexts, executions,
artifacts, lineage; runs' time series.
"""
