"""MetadataService and TensorboardService: a file for each kind of resource."""
