"""The floor below all services: what a handler is and is called with. It knows no service."""
