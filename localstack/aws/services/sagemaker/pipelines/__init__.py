"""SageMaker Pipelines: definitions of 2020-12-01, executed as a graph of real jobs."""
