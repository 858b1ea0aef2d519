"""Look for features that have seen the label, whether it is 0 or 1 or a number."""
