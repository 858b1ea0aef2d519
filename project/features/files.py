"""The files of static tables."""

from __future__ import annotations

from pathlib import Path

from ..reading.fence import ProjectPaths
from ..reading.names import did_you_mean
from ..reading.report import ProblemReport, child


def table_file(fence: ProjectPaths, table: str, path: str, report: ProblemReport) -> None:
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
