"""The operations on endpoints, their configurations, and their invocation."""
