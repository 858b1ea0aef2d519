"""A copy of the example to work in: the checkout's own has a `.isthmus` of its user's, once `make
demo` has run.
"""

import shutil
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "openbandit"


def copied(folder):
    """Copy the example into a folder, which may be there already, and return its project.yaml."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".isthmus"), dirs_exist_ok=True)
    return folder / "project.yaml"
