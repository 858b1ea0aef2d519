"""Score a table of rows with a registered model version, in parts, and publish it as one batch."""
