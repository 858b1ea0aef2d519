"""Pipeline runs: Vertex AI's PipelineJobs."""
