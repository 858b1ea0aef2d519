"""ModelRegistry in SQLite: versions, aliases and approvals.

Versions are immutable, and numbered from 1 for each model.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import msgspec

from ....errors import NotFound
from ....pipelines.port import Approval, ModelVersion
from ....storage import Resource, below, located
from ....target import Target
from ...common.pipelines.registry import check_alias, check_approval, no_version
from .. import inventory
from ..errors import translated
from ..home import home
from ..sqlite import Database

SCHEMA = f"""{inventory.SCHEMA}
CREATE TABLE IF NOT EXISTS model_versions (
    project TEXT NOT NULL, model TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL,
    uri TEXT NOT NULL, image TEXT NOT NULL,
    approval TEXT NOT NULL DEFAULT 'pending', note TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (project, model, version), UNIQUE (project, model, digest)
) STRICT;
CREATE TABLE IF NOT EXISTS model_aliases (
    project TEXT NOT NULL, model TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (project, model, alias)
) STRICT;
"""


@final
class LocalModelRegistry:
    """The ModelRegistry port over SQLite."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._project = target.profile.project
        self._database = Database(target, SCHEMA)
        self._root = home(target).absolute().as_uri()

    def register(self, model: str, *, uri: str, digest: str, image: str) -> ModelVersion:
        """Return a model's version with this digest, registered under the next number if it is new.

        `uri` is the model's folder and `image` the container image that serves it.
        """
        with (
            self._calls.mutating("registry.register", model),
            self._database.transaction(f"registering {model}") as db,
        ):
            row = db.execute(
                "SELECT version FROM model_versions WHERE project = ? AND model = ? AND digest = ?",
                (self._project, model, digest),
            ).fetchone()
            if row is None:
                row = db.execute(
                    "INSERT INTO model_versions (project, model, version, digest, uri, image) "
                    "SELECT ?1, ?2, coalesce(max(version), 0) + 1, ?3, ?4, ?5 FROM "
                    "model_versions WHERE project = ?1 AND model = ?2 "
                    "RETURNING version",
                    (self._project, model, digest, below(self._root, uri), image),
                ).fetchone()
                inventory.record(self._target, "model", model, connection=db)
            return self._version(db, model, row[0])

    def get(self, model: str, number_or_alias: int | str) -> ModelVersion:
        """Return a model's version by number or alias; NotFound names those that exist."""
        self._calls.reading("registry.get", f"{model}@{number_or_alias}")
        with self._reading(model) as db:
            return self._version(
                db,
                model,
                number_or_alias
                if isinstance(number_or_alias, int)
                else self._version_of_alias(db, model, number_or_alias),
            )

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions, oldest first; none if there is no such model."""
        self._calls.reading("registry.versions", model)
        with self._reading(model) as db:
            return self._versions(db, model)

    def set_alias(self, model: str, alias: str, version: int | None) -> None:
        """Move a model's alias to a version in one transaction; None removes the alias.

        Raises:
            NotFound: There is no such version.
            Invalid: The name cannot be an alias.
        """
        check_alias(alias)
        with (
            self._calls.mutating("registry.set_alias", f"{model}@{alias}"),
            self._database.transaction(f"moving {model}@{alias}") as db,
        ):
            if version is None:
                db.execute(
                    "DELETE FROM model_aliases WHERE project = ? AND model = ? AND alias = ?",
                    (self._project, model, alias),
                )
                return
            self._version(db, model, version)
            db.execute(
                "INSERT OR REPLACE INTO model_aliases VALUES (?, ?, ?, ?)",
                (self._project, model, alias, version),
            )

    def set_approval(self, model: str, version: int, approval: Approval, note: str) -> None:
        """Record the approval of a model's version with its reason, in one transaction.

        Raises:
            NotFound: There is no such version.
            Invalid: The word is no Approval.
        """
        check_approval(approval)
        with (
            self._calls.mutating("registry.set_approval", f"{model}@{version}"),
            self._database.transaction(f"judging {model}") as db,
        ):
            self._version(db, model, version)
            db.execute(
                "UPDATE model_versions SET approval = ?, note = ? WHERE project = ? AND "
                "model = ? AND version = ?",
                (approval, note, self._project, model, version),
            )

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def _reading(self, model: str) -> Iterator[sqlite3.Connection]:
        """Read versions and aliases inside the block from one consistent snapshot."""
        with translated(f"reading {model}"):
            db = self._database.connection
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    def _version_of_alias(self, db: sqlite3.Connection, model: str, alias: str) -> int:
        """Return the version number that a model's alias names; raise NotFound without one."""
        row: tuple[int] | None = db.execute(
            "SELECT version FROM model_aliases WHERE project = ? AND model = ? AND alias = ?",
            (self._project, model, alias),
        ).fetchone()
        if row is None:
            raise self._absent(db, model, alias)
        return row[0]

    def _version(self, db: sqlite3.Connection, model: str, version: int) -> ModelVersion:
        """Return a model's version by its number; raise NotFound if there is none."""
        registered = next(
            (candidate for candidate in self._versions(db, model) if candidate.version == version),
            None,
        )
        if registered is None:
            raise self._absent(db, model, version)
        return registered

    def _versions(self, db: sqlite3.Connection, model: str) -> tuple[ModelVersion, ...]:
        """Return all versions of a model, with their aliases."""
        aliases: dict[int, set[str]] = {}
        for alias, version in db.execute(
            "SELECT alias, version FROM model_aliases WHERE project = ? AND model = ?",
            (self._project, model),
        ).fetchall():
            aliases.setdefault(version, set()).add(alias)
        rows = db.execute(
            "SELECT version, digest, uri, image, approval FROM model_versions WHERE project "
            "= ? AND model = ? ORDER BY version",
            (self._project, model),
        ).fetchall()
        return tuple(
            ModelVersion(
                model=model,
                version=version,
                digest=digest,
                uri=located(self._root, uri),
                image=image,
                approval=msgspec.convert(approval, Approval),
                aliases=frozenset(aliases.get(version, ())),
            )
            for version, digest, uri, image, approval in rows
        )

    def _absent(self, db: sqlite3.Connection, model: str, ref: int | str) -> NotFound:
        """Return the error for a version or alias `ref` that a model does not have."""
        return no_version(
            model, ref, {version.version: version.aliases for version in self._versions(db, model)}
        )


def delete(target: Target, resource: Resource) -> None:
    """Delete a model's versions and aliases from the registry; it may be absent.

    The inventory calls this. The model's folders stay in the blobs.
    """
    database = Database(target, SCHEMA)
    try:
        with database.transaction(f"deleting model {resource.name}") as db:
            for name in ("model_aliases", "model_versions"):
                db.execute(
                    f"DELETE FROM {name} WHERE project = ? AND model = ?",
                    (target.profile.project, resource.name),
                )
    finally:
        database.close()
