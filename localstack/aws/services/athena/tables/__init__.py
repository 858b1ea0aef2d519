"""Tables in the Glue catalogue over objects in S3: what they are, and their rows read and written.

Athena and Firehose stand on it.
"""
