"""The Feature Store's operations on groups and on records."""
