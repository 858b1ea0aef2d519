"""What happens around a request to an endpoint: queues, captured data, shadow copies."""
