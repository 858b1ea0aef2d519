"""The floor below all services: requests, callers, the registry of handlers.

It knows no service.
"""
