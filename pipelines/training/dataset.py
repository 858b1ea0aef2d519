"""Pass the training set between a run's steps: `data.parquet`, and `data.json`, its record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...core.formats import decode
from ..run_pages.records import TrainingSetData

if TYPE_CHECKING:
    import pyarrow as pa


def read_data(folder: Path) -> tuple[pa.Table, TrainingSetData]:
    """Return the training set that the step `dataset` wrote as an Arrow table, and its record.

    The columns are those of `training_set`.

    Raises:
        Refused: a later version of Isthmus wrote them.
    """
    import pyarrow.parquet as pq

    record_file = folder / "data.json"
    return pq.ParquetFile(folder / "data.parquet").read(), decode(
        record_file.read_bytes(), TrainingSetData, what=str(record_file)
    )
