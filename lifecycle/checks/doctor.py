"""`isthmus doctor`: try what works on this machine, and say what to do about the rest."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ...core.plugins.installed import adapter, names
from ...core.runtime.project import Project
from ...core.user_state import forget
from ...errors import IsthmusError
from ...project.profiles.profiles import DEFAULT
from ...reports.results import StructRows
from ...target import Adapter, require


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str
    required: bool = False  # nothing works without it

    def __str__(self) -> str:
        return f"  {self.name:<13} {'ok' if self.ok else 'not ready':<11} {self.detail}".rstrip()


def doctor(project: Project | None = None) -> StructRows[Finding]:
    """Check what works on this machine (Python, packages, adapters), and return the findings.

    Only a temporary folder is written to, and no cloud is called. With a project, everything that
    it has stored is read and checked too (`examine`).
    """
    return StructRows((*_findings(), *(examine(project) if project is not None else ())))


def examine(project: Project) -> tuple[Finding, ...]:
    """Read all that a project has stored; return findings on what is damaged or lost."""
    target = project.target
    if target.adapter.maintained is None:
        return (
            Finding(
                name="stored",
                ok=True,
                detail=f"{target.name} keeps checksums itself; nothing was read",
            ),
        )
    examination = target.adapter.maintained.examine(target)
    whole = not examination.problems
    detail = f"{examination.looked}: " + (
        "as they were written"
        if whole
        else f"{len(examination.problems):,} damaged or lost; {examination.remedy}"
    )
    return (
        Finding(name="stored", ok=whole, detail=detail, required=True),
        *(
            Finding(name="damage", ok=False, detail=problem, required=True)
            for problem in examination.problems
        ),
        *(Finding(name="note", ok=True, detail=note) for note in examination.notes),
    )


def _findings() -> Iterator[Finding]:
    """Run each check of this machine (Python, packages, adapters), and yield its result."""
    supported = sys.version_info >= (3, 11)
    detail = "" if supported else "3.11 or newer is needed"
    yield Finding(
        name=f"python {platform.python_version()}", ok=supported, detail=detail, required=True
    )
    yield _laptop()
    yield _packages("demo", ("scikit-learn", "matplotlib", "pandas"))
    yield from (_installed(name) for name in names() if name != DEFAULT)


def _laptop() -> Finding:
    """Write, query and read back data on a temporary laptop target; return the finding."""
    import pyarrow as pa

    from ...adapters import targets
    from ...events.port import Column
    from ...feature_store.port import TableSpec
    from ...target import Profile

    try:
        with TemporaryDirectory(prefix="isthmus-doctor-") as folder:
            home = Path(folder) / "home"
            target = targets.load(
                Profile(
                    name=DEFAULT, adapter=DEFAULT, project="doctor", options={"home": str(home)}
                )
            )
            table = TableSpec(
                name="probe",
                columns=(
                    Column(name="event_timestamp", type="timestamp"),
                    Column(name="value", type="int64"),
                ),
                time_column="event_timestamp",
            )
            target.warehouse.apply(table)
            rows = pa.table(
                {
                    "event_timestamp": pa.array([0], pa.timestamp("ms")),
                    "value": pa.array([42], pa.int64()),
                }
            )
            target.warehouse.append("probe", rows, batch="probe")
            read = target.warehouse.query("SELECT value FROM probe", {}).column("value").to_pylist()
            target.close()
            forget(home)
    except IsthmusError as error:
        return Finding(name=DEFAULT, ok=False, detail=str(error.remedy or error), required=True)
    except OSError as error:
        return Finding(
            name=DEFAULT,
            ok=False,
            detail=f"cannot write to a temporary folder: {error}",
            required=True,
        )
    detail = (
        f"DuckDB {version('duckdb')}, SQLite {sqlite3.sqlite_version}; wrote and read back a table"
    )
    return Finding(name=DEFAULT, ok=read == [42], detail=detail, required=True)


def _installed(name: str) -> Finding:
    """Return a finding on whether an adapter can be imported and its packages are installed.

    `name` is the adapter's. No cloud is called: `plan --target` does that, with the profile's
    account.
    """
    try:
        installed = adapter(name)
        require(installed.needs, f"adapter {name}")
    except IsthmusError as error:
        return Finding(name=name, ok=False, detail=error.remedy or str(error))
    return Finding(name=name, ok=bool(installed.ports), detail=_detail(installed))


def _detail(adapter: Adapter) -> str:
    """Return a sentence on whether an installed adapter can be used, for the report."""
    if not adapter.ports:
        return "this version has its SQL check only; the adapter comes later"
    return "its packages are here" + (
        "; credentials are checked by `plan`" if adapter.remote else ""
    )


def _packages(name: str, packages: tuple[str, ...]) -> Finding:
    """Return a finding on whether Python packages are installed, with those that are missing."""
    missing: list[str] = []
    for package in packages:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    return Finding(
        name=name,
        ok=not missing,
        detail=f'pip install "isthmus[{name}]"'
        if missing
        else "the example's trainer and pictures",
    )
