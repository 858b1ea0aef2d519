"""What another policy or model version would have earned, estimated from a log with propensities."""

from .policy import replay as replay
