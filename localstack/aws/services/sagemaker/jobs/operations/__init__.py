"""The operations on training and processing jobs."""
