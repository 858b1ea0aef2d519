"""IAM: the permissions that calls need, the roles that grant them, policies of resources."""
