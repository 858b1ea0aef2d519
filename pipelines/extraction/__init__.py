"""Extractors: fit one on a project's contents, keep it as a version, compute vectors with it."""
