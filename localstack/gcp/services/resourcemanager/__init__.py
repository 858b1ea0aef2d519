"""Resource Manager: the project and its number, and its IAM policy."""
