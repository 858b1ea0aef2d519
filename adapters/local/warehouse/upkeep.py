"""Upkeep of a home: remains of killed writers are swept, and what is stored is checked."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ....target import Examination, Target
from .. import files
from ..home import home
from ..sqlite import Database
from . import batches, catalogue, contents, relations


def sweep(target: Target) -> None:
    """Remove files that dead processes left unfinished, and record checksums of published ones."""
    folder = home(target)
    for place, folders, _ in os.walk(folder):
        files.sweep(Path(place))
        if Path(place) == folder / "warehouse":
            folders[:] = [
                ".staging"
            ]  # a batch is made there whole, so its own folders hold nothing unfinished
        folders[:] = [name for name in folders if not name.startswith(files.TEMPORARY)]
    if (folder / "warehouse").is_dir():
        _note_published(target, folder / "warehouse")


def _note_published(target: Target, root: Path) -> None:
    """Record the checksums of complete batches below `root` whose writer was killed before it did.

    `examine` names those that are not complete.
    """
    database = Database(target, catalogue.SCHEMA + contents.SCHEMA)
    try:
        for name, document in catalogue.read_all(database.connection).items():
            if document.view_sql is not None:
                continue
            noted = {
                batch: batches.Batch(name=batch, files=())
                for batch in contents.stored_contents(database.connection, name)
            }
            with suppress(OSError):
                for batch in batches.list_batches(root / name, noted, stray=lambda _: None):
                    if batch.name not in noted and not any(relations.broken_files(batch.files)):
                        contents.note(database, root / name, batch.name, again=True)
    finally:
        database.close()


def examine(target: Target) -> Examination:
    """Verify the checksums of every batch of every table, and return the problems found."""
    root = home(target).absolute() / "warehouse"
    database = Database(target, catalogue.SCHEMA + contents.SCHEMA)
    problems: list[str] = []
    notes: list[str] = []
    number = rows = 0
    try:
        for name, document in catalogue.read_all(database.connection).items():
            if document.view_sql is not None:
                continue
            try:
                present = {
                    batch.name: batch
                    for batch in batches.list_batches(root / name, {}, stray=notes.append)
                }
            except OSError as error:
                problems.append(
                    f"{error.filename} cannot be read: {error.strerror}; {name} was not compared"
                )
                continue
            noted = contents.stored_contents(database.connection, name)
            missing = noted.keys() - present.keys()
            problems += [
                f"{root / name / batch} is gone, with {noted[batch].rows:,} rows"
                for batch in sorted(missing)
            ]
            for batch in present.values():
                number, rows = (
                    number + 1,
                    rows + (noted[batch.name].rows if batch.name in noted else 0),
                )
                if batch.name in noted:
                    problems += contents.damage(batch, root / name / batch.name, noted[batch.name])
                    continue
                notes.append(
                    f"{root / name / batch.name} has no digest: written before there were "
                    "any, or its writer was killed"
                )
                problems += [
                    f"{path} is not readable: {why}"
                    for path, why in relations.broken_files(batch.files)
                ]
    finally:
        database.close()
    return Examination(
        looked=f"{number:,} batches, {rows:,} rows",
        problems=tuple(problems),
        notes=tuple(notes),
        remedy=contents.REMEDY,
    )
