"""The model servers behind an endpoint: fleets, their models, and deployments."""
