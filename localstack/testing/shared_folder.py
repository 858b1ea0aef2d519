"""A folder that all workers of a run of tests share."""

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp

SHARED = "ISTHMUS_TESTS_SHARED"  # the variable that names it


def shared():
    """Return the folder of all workers; the process that started them removes it."""
    if SHARED not in os.environ:
        os.environ[SHARED] = mkdtemp(prefix="isthmus-starter-")
        atexit.register(shutil.rmtree, os.environ[SHARED], ignore_errors=True)
    return Path(os.environ[SHARED])
