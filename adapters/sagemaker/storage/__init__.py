"""Blobs and state in S3, counters in DynamoDB."""
