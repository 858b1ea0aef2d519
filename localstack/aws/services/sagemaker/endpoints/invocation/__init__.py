"""The surroundings of a request to an endpoint: queues, captured data, shadow copies."""
