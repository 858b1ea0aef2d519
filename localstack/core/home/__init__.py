"""Homes: what a stack keeps on the disk over a restart, sealed so that only its user's records are unpickled."""
