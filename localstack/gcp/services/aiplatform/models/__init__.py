"""Vertex AI's Model Registry: models, their numbered versions, aliases that move.

The labels of a model and those of a version are two maps that are answered as one; a version's win.
Those of UploadModel are the version's.
"""
