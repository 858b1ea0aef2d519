"""Compile GoogleSQL into the user's cache: `python -m isthmus_stack.gcp.googlesql`.

It takes 30 s of CPU and 1 GB, once a version.
"""

from __future__ import annotations

import sys

from .compiled import NotCompiled, available, cache_folder, compile_here

if __name__ == "__main__":
    if not available():
        sys.exit("GoogleSQL is not installed: pip install zetasql==0.1.5")
    try:
        compile_here()
    except NotCompiled as error:
        sys.exit(str(error))
    print(cache_folder())
