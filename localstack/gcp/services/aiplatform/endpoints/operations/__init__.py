"""EndpointService, and JobService's monitoring jobs: a file for each kind of resource."""
