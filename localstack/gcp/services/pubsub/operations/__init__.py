"""Publisher, Subscriber and IAM policies: a file for each kind of resource."""
