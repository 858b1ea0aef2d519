"""The REST API and the Storage Read API: a file for each kind of resource."""
