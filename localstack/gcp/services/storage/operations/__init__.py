"""The JSON API and the XML API: a file for each kind of resource."""
