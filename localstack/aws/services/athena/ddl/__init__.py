"""Hive's statements, which Athena runs itself: databases, tables, partitions, SHOW and DESCRIBE."""
