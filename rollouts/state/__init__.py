"""What a rollout is: its plan, its state, how one follows from the other, and where it is stored."""
