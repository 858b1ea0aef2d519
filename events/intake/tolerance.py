"""Decide how many bad rows an ingest takes: `--max-bad`, a share or a number of rows."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ..refusals.reasons import Tally
from ..sources.source import ROWS
from .staging import StagedBatch

pc: Any = pyarrow.compute
MAX_BAD = 0.01  # the default


def allowed_rows(max_bad: float, read: int) -> float:
    """Return how many of `read` rows may be invalid: `max_bad` as a share or as a number.

    Up to 1, `max_bad` is a share of them; above 1, it is a number of rows.
    """
    return max_bad if max_bad > 1 else max_bad * read


def bad_rows(staged: StagedBatch) -> Tally:
    """Return the counts, by reason, of a batch's malformed rows.

    Rows that are well-formed but too old are not counted.

    `staged` is the batch as it was checked and written to files.
    """
    tally = Tally()
    with pq.ParquetFile(staged.bad) as file:
        for batch in file.iter_batches(batch_size=ROWS):
            rows = pa.Table.from_batches([batch])
            tally.add(rows.filter(pc.invert(rows["retry"])))
    return tally


def share_and_limit(bad: int, read: int, max_bad: float) -> tuple[str, str]:
    """Return the number of bad rows and the number allowed as text, in percent or as rows."""
    if max_bad > 1:
        return f"{bad:,} rows", f"{max_bad:,.0f}"
    share, allowed = _percents(bad / read, max_bad)
    return share, allowed


def _percents(share: float, allowed: float) -> tuple[str, str]:
    """Return two shares as text in percent, with enough digits to tell them apart."""
    limit = f"{100 * allowed:.10f}".rstrip("0").rstrip(".")
    shown = limit
    for digits in range(1, 11):
        shown = f"{100 * share:.{digits}f}".rstrip("0").rstrip(".")
        if shown not in {limit, "0"}:
            break
    return f"{shown} %", f"{limit} %"
