"""The gateway: a request becomes a ranking, and what was shown is logged.

It runs by itself or as a service over HTTP.
"""
