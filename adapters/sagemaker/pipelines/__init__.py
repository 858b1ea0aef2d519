"""Pipeline runs on SageMaker Pipelines, and the model registry."""
