"""The page of a rollout."""
