"""Tables in the Glue catalogue over objects in S3: their objects, and rows read and written."""
