"""Cloud Logging: entries written, and listed by filters."""
