"""The floor below all services: what a handler is, and what it is called with. It knows no service."""
