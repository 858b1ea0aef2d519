"""The files of static tables."""

from __future__ import annotations

from pathlib import Path

from ..reading.fence import Fence
from ..reading.names import did_you_mean
from ..reading.report import Report, child


def table_file(fence: Fence, table: str, path: str, report: Report) -> None:
    """Report a static table's file that is missing or may not be read."""
    folder = fence.folder
    if problem := fence.problem(folder / path, path):
        report.add(child("tables", table), *problem)
    elif not (folder / path).is_file():
        parent = Path(path).parent
        near = sorted(
            (parent / file.name).as_posix()
            for file in (folder / parent).glob("*.*")
            if file.suffix in {".csv", ".parquet"}
        )
        report.add(
            child("tables", table),
            f"there is no file {path}",
            did_you_mean(path, near, has=f"{parent.as_posix()}/ has"),
        )
