"""Monitors of bias: what an endpoint shows, and whom it serves, by groups."""
