"""Tables in S3, declared in Glue, queried by Athena; and users' own data."""
