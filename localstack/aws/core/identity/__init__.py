"""The identity of a request's sender: signatures, and the keys that may sign."""
