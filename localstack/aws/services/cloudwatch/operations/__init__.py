"""CloudWatch's operations on metrics and alarms."""
