"""What adapters share. It imports none of them, and no SDK."""
