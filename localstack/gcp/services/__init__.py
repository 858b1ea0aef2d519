"""The services: one folder each. None is known to `core`."""
