"""Sums over units, effects with their intervals, corrections and verdicts.

All functions are pure: they read nothing.
"""
