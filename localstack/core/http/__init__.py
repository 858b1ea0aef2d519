"""HTTP below both clouds' fronts.

It has answers, limits, ports, certificates, tunnels, and whose process calls.
"""
