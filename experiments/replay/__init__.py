"""What another policy or model version would have earned, from a log with propensities."""

from .policy import replay as replay
