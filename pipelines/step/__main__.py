"""Run one step of a run: what jobs start as `python -m isthmus.pipelines.step`."""

from __future__ import annotations

import sys

from ...core import pandas_later
from .job import main

if __name__ == "__main__":
    pandas_later.install()
    sys.exit(main())
