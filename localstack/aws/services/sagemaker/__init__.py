"""SageMaker, a folder for each part of it."""
