"""The page of a rollout, and the history of its verdicts."""
