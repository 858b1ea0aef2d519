"""Firehose: records from a Kinesis stream or put directly, in S3 by partition, as JSON lines or
Parquet.
"""
