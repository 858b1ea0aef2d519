"""Tests of the gateway: what it decides, ranks, logs and answers."""
