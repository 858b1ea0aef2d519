"""The nature of a rollout: its plan, its state, the transitions between states, its storage."""
