"""The offline GCP: a server that the genuine SDKs talk to, and that really executes."""
