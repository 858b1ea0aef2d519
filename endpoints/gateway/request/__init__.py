"""Requests of a gateway's callers, and the inputs of the deployed models."""
