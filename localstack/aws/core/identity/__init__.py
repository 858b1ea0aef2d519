"""Who sends a request: signatures and the keys that may sign."""
