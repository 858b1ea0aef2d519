"""Isthmus without one of its syncs, or with two acts in the wrong order: each mutant has a test
that must fail.

A mutant is named by ISTHMUS_MUTANT and installed before anything else is imported, in every process
under test (mutated/sitecustomize.py).
"""

import importlib
import os
import sqlite3
import stat
from collections.abc import Callable, Mapping
from typing import NamedTuple

_STORE = "test_what_a_store_acknowledged_outlives_a_power_cut"
_VERB = "test_what_a_verb_answered_outlives_a_power_cut_and_one_that_it_stopped_can_be_run_again"
_STACK = "test_what_an_offline_aws_stack_answered_outlives_a_power_cut"


class Change(NamedTuple):
    """What takes the place of `module.name` (`module.Class.name`); `made` gets what was there."""

    place: str
    made: Callable


class Mutant(NamedTuple):
    """`test`: the one that must fail, in test_power_cut.py."""

    test: str
    changes: tuple[Change, ...]


def install(name):
    """Make the changes of a mutant in this process."""
    for place, made in MUTANTS[name].changes:
        owner, _, attribute = place.rpartition(".")
        owner = _owner(owner)
        setattr(owner, attribute, made(getattr(owner, attribute)))


def _owner(place):
    """A module below `isthmus`, or a class in one."""
    try:
        return importlib.import_module(f"isthmus.{place}")
    except ModuleNotFoundError:
        module, _, name = place.rpartition(".")
        return getattr(importlib.import_module(f"isthmus.{module}"), name)


def _nothing(_):
    return lambda *_, **__: None


def _synchronous(level):
    """SQLite by another level than the one that it is told."""

    class Connection(sqlite3.Connection):
        def execute(self, sql, *parameters):
            return super().execute(
                f"PRAGMA synchronous = {level}" if sql.startswith("PRAGMA synchronous") else sql,
                *parameters,
            )

    def made(_):
        def connect(place, *, uri=False):
            return sqlite3.connect(
                place,
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
                uri=uri,
                factory=Connection,
            )

        return connect

    return Change("adapters.local.home._connect", made)


class _System:
    """`os` for one module, without the fsync of its files, or of its folders."""

    def __init__(self, folders):
        self.folders = folders

    def __getattr__(self, name):
        return getattr(os, name)

    def fsync(self, descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) != self.folders:
            os.fsync(descriptor)


def _files_of(module):
    return Change(f"{module}.os", lambda _: _System(folders=False))


def _folders_of(module):
    return Change(f"{module}.os", lambda _: _System(folders=True))


def _settle_without_files(_):
    from isthmus.core.durable import sync_folder

    def settle(aside):
        for folder in sorted(aside.iterdir()):
            sync_folder(folder)
        sync_folder(aside)

    return settle


def _table_not_synced(sync_folder):
    return lambda folder: sync_folder(folder) if folder.name.startswith((".tmp-", "dt=")) else None


def _renamed_first(_):
    from contextlib import contextmanager

    from isthmus.adapters.local import files
    from isthmus.core.durable import make_folder, sync_folder

    @contextmanager
    def replacing(path):
        make_folder(path.parent)
        temporary = path.parent / files.temporary_name()
        with temporary.open("wb") as file:
            yield file
            file.flush()
            temporary.replace(path)
            os.fsync(file.fileno())
        sync_folder(path.parent)

    return replacing


def _make_only(_):
    def make_folder(folder, *, mode=0o777):
        folder.mkdir(mode=mode, parents=True, exist_ok=True)

    return make_folder


def _spool_emptied_first(_):
    from isthmus.adapters.common.warehouse.conformance import arrow_schema, in_time_order
    from isthmus.adapters.local.warehouse import batches, contents, spool

    def compact(database, table, document, *, now, about=None):
        waiting = spool.read(
            database.connection,
            document,
            after=spool.last_published(batches.list_batches(table, {})),
            about=about,
        ).events
        if waiting.num_rows:
            last = waiting.column(spool.SEQUENCE)[-1].as_py()
            with database.transaction("compacting") as db:
                spool.remove(db, document.name, up_to=last)
            rows = waiting.drop_columns([spool.SEQUENCE, spool.PARTITION]).cast(
                arrow_schema(document.columns)
            )
            written = batches.write(
                table,
                f"{spool.SPOOL}{last:020d}",
                document,
                iter(in_time_order(document, rows).to_batches()),
            )
            contents.note(database, table, f"{spool.SPOOL}{last:020d}", again=not written)
        return True

    return compact


def _answered_before_the_commit(commit):
    waiting = []

    def late(self, ticket):
        if waiting:
            commit(self, waiting.pop())
        waiting.append(ticket)

    return late


def _never_synced(synced):
    from contextlib import closing

    from isthmus.adapters.local.home import COUNTERS
    from isthmus.adapters.local.sqlite import Database
    from isthmus.adapters.local.storage import counters

    assert synced
    return lambda target: closing(Database(target, counters._SCHEMA, file=COUNTERS, synced=False))


def _dropped(_):
    from isthmus_stack.core.home.home import Home

    return Home.drop


_SQLITE_OFF = _synchronous("OFF")
_NO_FOLDERS = Change("core.durable.sync_folder", _nothing)
_NO_ROWS = Change("adapters.local.warehouse.batches._settle", _settle_without_files)

MUTANTS: Mapping[str, Mutant] = {
    "SQLite is OFF": Mutant(f"{_STORE}[documents]", (_SQLITE_OFF,)),
    "no folder is synced": Mutant(f"{_STORE}[batches]", (_NO_FOLDERS,)),
    "no rows.parquet is synced": Mutant(f"{_STORE}[batches]", (_NO_ROWS,)),
    "all three": Mutant(f"{_VERB}[ingest]", (_SQLITE_OFF, _NO_FOLDERS, _NO_ROWS)),
    "SQLite is NORMAL": Mutant(f"{_STORE}[events]", (_synchronous("NORMAL"),)),
    "the registry's SQLite is NORMAL": Mutant(f"{_STORE}[registry]", (_synchronous("NORMAL"),)),
    "the online store's SQLite is NORMAL": Mutant(f"{_STORE}[online]", (_synchronous("NORMAL"),)),
    "an emit answers before its commit": Mutant(
        f"{_STORE}[emit]",
        (Change("adapters.local.events.log.LocalEventLog._commit", _answered_before_the_commit),),
    ),
    "a durable gateway answers before its commit": Mutant(
        f"{_STORE}[a durable gateway]",
        (Change("adapters.local.events.log.LocalEventLog._commit", _answered_before_the_commit),),
    ),
    "the spool is emptied before its batch is there": Mutant(
        f"{_STORE}[compaction]",
        (Change("adapters.local.warehouse.spool.compact", _spool_emptied_first),),
    ),
    "a batch is published and its table's folder not synced": Mutant(
        f"{_STORE}[batches]",
        (Change("adapters.local.warehouse.batches.sync_folder", _table_not_synced),),
    ),
    "no blob is synced": Mutant(f"{_STORE}[blobs]", (_files_of("adapters.local.files"),)),
    "a blob is renamed and then synced": Mutant(
        f"{_STORE}[blobs]", (Change("adapters.local.files.replacing", _renamed_first),)
    ),
    "no folder of a blob that is new is synced": Mutant(
        f"{_STORE}[blobs]", (Change("durable.make_folder", _make_only),)
    ),
    "a deleted blob's folder is not synced": Mutant(
        f"{_STORE}[blobs]", (Change("adapters.local.storage.blobs.sync_folder", _nothing),)
    ),
    "the project's folder is not synced": Mutant(
        f"{_STORE}[a new home]", (Change("user_state.make_folder", _make_only),)
    ),
    "an endpoint's counters are made unsynced": Mutant(
        f"{_STORE}[counters]", (Change("adapters.local.storage.counters._synced", _never_synced),)
    ),
    "a page's file is not synced": Mutant(
        f"{_STORE}[a page's file]", (_files_of("ui.pages.experiments.new_experiment"),)
    ),
    "a page's file's folder is not synced": Mutant(
        f"{_STORE}[a page's file]",
        (Change("ui.pages.experiments.new_experiment.sync_folder", _nothing),),
    ),
    "no record of a stack is synced": Mutant(
        f"{_STORE}[a stack's home]", (_files_of("localstack.home"),)
    ),
    "no folder of a stack's home is synced": Mutant(f"{_STACK}", (_folders_of("localstack.home"),)),
    "a stack's removed record is not synced": Mutant(
        f"{_STORE}[a stack's home]", (Change("localstack.home.Home.remove", _dropped),)
    ),
    "the folder of a removed table is not synced": Mutant(
        f"{_VERB}[destroy]", (Change("adapters.local.files.sync_folder", _nothing),)
    ),
    "the folder of an endpoint's models is not synced": Mutant(
        f"{_VERB}[deploy]", (Change("adapters.local.endpoints.host.sync_folder", _nothing),)
    ),
}
