"""Shifting production traffic between variants: an engine that a crash, a second controller or a
lying cloud cannot mislead.
"""
