"""Google Cloud on this machine: the genuine SDKs talk to it."""
