"""Recorded calls of an account, scrubbed of private names, and asked again of a stack."""
