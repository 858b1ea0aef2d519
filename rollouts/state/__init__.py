"""What a rollout is: its plan, its state, the transitions between states, and its storage."""
