"""Lists, calls, minutes, counts and shadow figures of endpoints, as operators ask for them."""
