"""The model server by the name that containers, stacks and running endpoints start it with.

`python -m isthmus.endpoints.server` runs serving/server.py.
"""

from __future__ import annotations

import sys

from ..core import logs
from .serving.server import main

if __name__ == "__main__":
    logs.tolerate_full_disk()
    sys.exit(main())
