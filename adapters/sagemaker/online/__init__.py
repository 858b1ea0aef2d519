"""Online features in Feature Store, read and written in batches."""
