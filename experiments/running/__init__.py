"""The life of a run: start, ramp, stop, close, and how runs stand."""
