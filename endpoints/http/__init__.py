"""HTTP of our own servers and their callers: limits, who may come in, how a server listens and ends."""
