"""Sums over units, effects with their intervals, corrections and verdicts: pure functions that read nothing."""
