"""Pipeline runs on this machine, a detached process for each; and the model registry."""
