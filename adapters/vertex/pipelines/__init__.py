"""Pipeline runs as Vertex AI's PipelineJobs, and the model registry."""
