"""The floor that the stacks of both clouds share, which knows no cloud.

It has the state, the clock, faults, the log of calls, control, and the process that serves.
"""
