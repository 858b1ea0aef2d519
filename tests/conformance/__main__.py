"""`python -m isthmus.tests.conformance ADAPTER [--port PORT] [pytest's options]`: judge an
installed adapter.
"""

import os
import sys
from pathlib import Path

import pytest

from isthmus.adapters import targets
from isthmus.errors import IsthmusError

HERE = str(Path(__file__).parent)


def main(argv):
    if not argv or argv[0].startswith("-"):
        return __doc__
    adapter, *rest = argv
    try:
        targets.find(adapter)
    except IsthmusError as error:
        return f"{error}: {error.remedy}" if error.remedy else str(error)
    os.environ["ISTHMUS_CONFORMANCE"] = adapter
    return pytest.main(
        ["-c", os.devnull, "--rootdir", HERE, "-p", "no:cacheprovider", HERE, *rest]
    )  # no settings of another suite


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
