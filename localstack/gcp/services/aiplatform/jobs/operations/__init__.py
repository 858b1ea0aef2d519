"""JobService's custom jobs and PipelineService's training pipelines."""
