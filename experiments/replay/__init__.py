"""What another policy or model version would have earned, estimated from a log with propensities."""
