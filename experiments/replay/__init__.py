"""Estimates of what another policy or model version would have earned, from a log."""

from .policy import replay as replay
