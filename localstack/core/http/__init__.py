"""HTTP below both clouds' fronts: answers, limits, ports, certificates, tunnels, and whose process calls."""
