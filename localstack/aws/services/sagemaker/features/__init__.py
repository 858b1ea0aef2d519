"""SageMaker Feature Store: groups, records online by event time, and the offline store in S3 with
its Glue table.
"""
