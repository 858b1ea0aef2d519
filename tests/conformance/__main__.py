"""`python -m isthmus.tests.conformance ADAPTER [--port PORT] [pytest's options]`: judge an installed adapter."""

import argparse
import os
import sys

import pytest

from isthmus.adapters import targets
from isthmus.errors import IsthmusError
from isthmus.tests.conformance.test_ports import PORTS


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m isthmus.tests.conformance", description="Judge an installed adapter.")
    parser.add_argument("adapter")
    parser.add_argument("--port", choices=PORTS, help="only the tests of this port")
    options, rest = parser.parse_known_args(argv)
    try:
        targets.find(options.adapter)
    except IsthmusError as error:
        parser.error(f"{error}: {error.remedy}" if error.remedy else str(error))
    os.environ["ISTHMUS_CONFORMANCE"] = options.adapter
    if options.port:
        os.environ["ISTHMUS_CONFORMANCE_PORT"] = options.port
    return pytest.main(["--pyargs", "isthmus.tests.conformance", *rest])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
