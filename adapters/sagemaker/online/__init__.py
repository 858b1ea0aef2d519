"""Online features: Feature Store, read and written in batches."""
