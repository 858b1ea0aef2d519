"""Pipeline runs: SageMaker Pipelines, their definitions and executions."""
