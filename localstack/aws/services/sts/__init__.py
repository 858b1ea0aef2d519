"""STS: session keys, and who a caller is; roles are assumed in moto."""
