"""How an execution of a pipeline runs: its steps, their retries and cached results."""
