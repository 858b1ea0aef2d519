"""A GCP that executes, on this machine, for the genuine SDKs."""
