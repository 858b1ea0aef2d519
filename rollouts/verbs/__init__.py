"""What people do with a rollout, and what is refused before one starts."""
