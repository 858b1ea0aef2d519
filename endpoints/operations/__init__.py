"""What operators ask of endpoints: lists, calls, minutes, counts and shadow figures."""
