"""The training set as a run's steps hand it on:

`data.parquet`, and `data.json`, which says what it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...core.formats import decode
from ..run_pages.records import Data

if TYPE_CHECKING:
    import pyarrow as pa


def read_data(folder: Path) -> tuple[pa.Table, Data]:
    """The rows as the step `dataset` wrote them (the columns of `training_set`), and their record.

    Refused: a later version's.
    """
    import pyarrow.parquet as pq

    known = folder / "data.json"
    return pq.ParquetFile(folder / "data.parquet").read(), decode(
        known.read_bytes(), Data, what=str(known)
    )
