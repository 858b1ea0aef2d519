"""The logs that an endpoint's processes write by their standard error."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

LIMIT = 10_000_000  # bytes; the log before it is kept once


def limit(log: Path, most: int = LIMIT) -> None:
    """What a log above `most` bytes holds becomes `<log>.1`, and it begins anew. Processes may write meanwhile, in append mode: what
    they write between the copy and the cut is lost.
    """
    with suppress(FileNotFoundError):
        if log.stat().st_size > most:
            try:
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            except OSError as error:  # a full disk: the limit holds all the more
                print(f"{log.name}: {error}", file=sys.stderr, flush=True)
            os.truncate(log, 0)
