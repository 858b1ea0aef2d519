"""The model servers behind an endpoint: fleets, the models that they load, deployments from one fleet to another."""
