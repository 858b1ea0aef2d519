"""What a caller of the gateway sends, and what the deployed models read of it."""
