"""Online reads of features, their cache, their skew, and the store as it was at a moment."""
