"""Rows of endpoints in SQLite: the spec, the split, and the row version that fences both.

The supervisor only reads them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from ....core.formats import StoredDocument, decoder
from ....endpoints.port import EndpointSpec, VariantSpec
from ....storage import Phase

SCHEMA = """CREATE TABLE IF NOT EXISTS endpoints (
  name TEXT PRIMARY KEY, instance TEXT NOT NULL, version INTEGER NOT NULL, port INTEGER NOT NULL,
  spec BLOB NOT NULL, split BLOB NOT NULL, folders BLOB NOT NULL);
"""


class EndpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it should be.

    `instance` is drawn when the endpoint is made: an endpoint made again under its name is another
    one, with other tokens.
    """

    name: str
    instance: str
    version: int
    port: int
    spec: EndpointSpec
    split: dict[str, Decimal]  # percent
    folders: dict[str, str]  # the model folder of each variant, in the home folder

    @property
    def token(self) -> str:
        """A text that changes whenever the row does, for compare-and-swap."""
        return f"{self.instance}-{self.version}"


class RunningServer(msgspec.Struct, frozen=True, kw_only=True):
    """A model server's process, for a supervisor that takes it over.

    `started` as processes.start_time tells it.
    """

    identity: tuple[str, str, int, str, int]  # of its variant
    pid: int
    started: str
    port: int


class SupervisorAddress(StoredDocument, frozen=True, kw_only=True, tag=2):
    """`supervisor.json`: how to reach the process that holds supervisor.lock.

    `key` opens its control routes.

    An older one has no watcher, and nothing of it can be taken over.
    """

    port: int
    key: str
    instance: str
    pid: int = 0  # 0: it has not come up yet
    group: int = 0  # of all its processes; 0: its pid is the group
    home: str = ""  # where it was started: a copy of the folder is not started by looking at it
    servers: tuple[RunningServer, ...] = ()


class VariantReport(msgspec.Struct, frozen=True, kw_only=True):
    """A variant as its supervisor reports it."""

    name: str
    model: str
    version: int
    phase: Phase
    pid: int = 0  # of its first process
    restarts: int = 0
    failure: str | None = None
    instances: int = 1  # that are ready
    target_instances: int = 1
    # a process of it runs another code than is installed where its router was started
    older: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a supervisor: the state that runs. `token` is of the row that it follows."""

    token: str
    revision: str
    split: dict[str, Decimal]
    variants: tuple[VariantReport, ...]
    code: str = ""  # digest of the router's; "": it is from before there was one


def read(connection: sqlite3.Connection, name: str) -> EndpointRow | None:
    """Read an endpoint's row from SQLite, or return None if there is none."""
    columns = connection.execute(
        "SELECT name, instance, version, port, spec, split, folders FROM endpoints WHERE name = ?",
        (name,),
    ).fetchone()
    if columns is None:
        return None
    name, instance, version, port, spec, split, folders = columns
    return EndpointRow(
        name=name,
        instance=instance,
        version=version,
        port=port,
        spec=decoder(EndpointSpec).decode(spec),
        split=msgspec.json.decode(split, type=dict[str, Decimal]),
        folders=msgspec.json.decode(folders, type=dict[str, str]),
    )


def write(connection: sqlite3.Connection, row: EndpointRow) -> None:
    """Insert or replace an endpoint's row, inside the caller's transaction."""
    encode = msgspec.json.encode
    connection.execute(
        "INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            row.name,
            row.instance,
            row.version,
            row.port,
            encode(row.spec),
            encode(row.split),
            encode(row.folders),
        ),
    )


def steps(split: Mapping[str, Decimal]) -> list[tuple[str, int]]:
    """Return a traffic split as pairs of variant and hundredths of a percent."""
    return [(name, int(percent * 100)) for name, percent in split.items()]


def endpoint_folder(home: Path, name: str) -> Path:
    """Return the folder of an endpoint in the target's home folder."""
    return home / "endpoints" / name


def registered_digest(folder: Path) -> str | None:
    """Return the digest in the name of a variant's model folder, or None.

    Folders that an earlier release copied have no digest in the name.
    """
    digest = folder.name.rpartition("-")[2]
    return digest if len(digest) == 64 else None  # SHA-256


def instances(spec: VariantSpec) -> tuple[int, int]:
    """Return the minimum and maximum number of processes for a variant; 1 if its spec says none.

    The number does not scale by itself on a laptop.
    """
    return spec.instances or (1, 1)
