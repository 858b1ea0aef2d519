"""The rights of callers: IAM policies, evaluated for each request once enforcement is on."""
