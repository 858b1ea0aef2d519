"""HTTP of our own servers: limits, who may come in, requests, how a server listens and ends."""
