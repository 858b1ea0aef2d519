"""Homes: folders in which stacks keep what they hold over a restart.

They are sealed, so that only its user's records are unpickled.
"""
