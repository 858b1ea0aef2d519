"""What every service of the offline AWS stands on: requests, callers, the registry of handlers.

It knows no service.
"""
