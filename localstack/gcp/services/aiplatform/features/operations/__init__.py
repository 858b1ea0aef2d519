"""The Feature Store's services: a file for each kind of resource, and one for reads."""
