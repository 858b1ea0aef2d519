"""Draw one model from its events to its endpoints, with what its last run says of each column."""
