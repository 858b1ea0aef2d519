"""The files of static tables, and the SQL of feature views."""

from __future__ import annotations

from pathlib import Path

from ..reading.fence import Fence
from ..reading.files import read_text
from ..reading.names import did_you_mean
from ..reading.report import Report, child


def view_sql(fence: Fence, view: str, report: Report) -> str:
    """Return the SQL text of features/<view>.sql, without a closing semicolon.

    "" after reporting an error.
    """
    file = f"features/{view}.sql"
    key = f"feature_views.{view}"
    if not (fence.folder / file).exists():
        near = sorted(path.name for path in (fence.folder / "features").glob("*.sql"))
        report.add(
            key,
            f"there is no {file}",
            did_you_mean(f"{view}.sql", near)
            or f"write its SQL there: SELECT ... AS {view}_feature FROM ...",
        )
        return ""
    text = read_text(fence.folder / file, file, report, fence)
    if text is None:
        report.add(key, f"{file} cannot be read")
        return ""
    bare = text.rstrip().rstrip(";").rstrip()
    if not any(line.strip() and not line.strip().startswith("--") for line in bare.splitlines()):
        report.add(
            key,
            f"{file} holds no SQL",
            "write a SELECT: the entity's key, event_timestamp and the features",
        )
    return bare + "\n"


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
