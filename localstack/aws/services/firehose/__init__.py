"""Firehose: records from a Kinesis stream or put directly, in S3 by partition.

Objects are JSON lines or Parquet.
"""
