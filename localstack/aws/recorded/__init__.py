"""Calls of an account that were recorded, without what is nobody else's business, and asked again
of a stack.
"""
