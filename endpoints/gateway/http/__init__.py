"""The gateway as a service over HTTP: its routes, its application, its processes."""
