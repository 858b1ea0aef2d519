"""An endpoint's traffic: splits, who owns it, moving it by hand, and whether the target has
arrived.
"""
