"""Runs of pipelines: their documents, artifacts and cache, how they are submitted and watched."""
