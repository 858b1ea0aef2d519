"""Limits of connections, so that no client keeps the others out.

They are how many a stack has at once, and for how long one may keep it waiting.
"""

from __future__ import annotations

import resource

MOST = 1000  # connections, or half of the descriptors that this process may have
HEAD_WITHIN, BODY_SILENT = 10.0, 60.0  # seconds


def most_connections() -> int:
    """Return how many client connections the server may have open.

    The process needs its other file descriptors for files and for connections of its own.
    """
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else max(8, min(MOST, soft // 2))
