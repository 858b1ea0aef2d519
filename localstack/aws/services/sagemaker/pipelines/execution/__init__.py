"""The run of an execution of a pipeline: its steps, their retries and cached results."""
