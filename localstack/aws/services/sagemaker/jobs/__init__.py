"""Training and processing jobs, run as subprocesses with SageMaker's container contract."""
