"""Athena: queries in Trino's SQL over Glue tables in S3.

They are checked against Athena's own language and run by DuckDB.
"""
