"""What a caller may do: IAM policies, evaluated for each request once enforcement is on."""
