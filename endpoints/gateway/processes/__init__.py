"""Counters of a gateway's process, figures that its processes share, and renewal after a fork."""
