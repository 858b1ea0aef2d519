"""SageMaker Feature Store: groups, online records by event time, and the offline store.

The latter is in S3, with a Glue table.
"""
