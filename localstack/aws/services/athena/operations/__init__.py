"""Athena's operations: query executions, prepared statements, workgroups, catalogs and metadata."""
