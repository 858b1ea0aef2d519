"""What a home holds: records of the stack's stores, on the disk when they are said to be, and as
they were when they are read.
"""

import importlib
import os
import queue
import re
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from moto.s3.models import s3_backends

from isthmus_stack.aws import handler_modules
from isthmus_stack.aws.core.home import stores
from isthmus_stack.aws.core.home.declarations import LEFT_OUT, NOT_KEPT
from isthmus_stack.aws.core.home.keeper import Keeper
from isthmus_stack.aws.core.home.objects import Objects
from isthmus_stack.aws.core.protocol import wire
from isthmus_stack.aws.front import Front
from isthmus_stack.aws.services.sagemaker.features.records import Groups
from isthmus_stack.aws.services.sagemaker.jobs.records import Jobs
from isthmus_stack.core.clock import Clock
from isthmus_stack.core.home import pickles as frozen
from isthmus_stack.core.home.former_modules import FORMER_MODULES
from isthmus_stack.core.home.home import Home
from isthmus_stack.core.home.pickles import Changed, freeze, thaw
from isthmus_stack.core.state import State


def test_a_record_of_a_module_that_is_gone_is_named(tmp_path):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    home.write("stores/gone.Gone/1.us-east-1", freeze({}))
    with pytest.raises(Changed, match=r"stores/gone.Gone/1.us-east-1 cannot be read"):
        list(stores.Stores(home).restore())


def test_a_record_that_has_the_packages_name_of_before_is_read(monkeypatch):
    """Of Isthmus 0.1.0, of which the stacks were a part."""
    former = "isthmus.localstack.aws.jobs.record"
    with monkeypatch.context() as then:
        then.setitem(sys.modules, former, sys.modules[Jobs.__module__])
        then.setattr(Jobs, "__module__", former)
        then.setattr(frozen, "_PACKAGE", "isthmus")
        written = freeze(Jobs())
    assert former.encode() in written
    assert type(thaw(written)) is Jobs


def test_what_records_of_earlier_releases_name_is_there():
    for former, present in FORMER_MODULES.items():
        if ".aws." in former:
            module, _, last = present.rpartition(".")
            assert hasattr(importlib.import_module(module), last) or importlib.import_module(
                present
            )


def test_every_store_of_the_stack_is_kept_or_named_as_forgotten():
    handler_modules.load()
    kinds = {
        getattr(sys.modules[name], kind)
        for name in list(sys.modules)
        if name.startswith("isthmus_stack.aws.")
        for kind in re.findall(r"ctx\.store\((\w+)\)", Path(sys.modules[name].__file__).read_text())
    }
    assert len(kinds) > 10
    for kind in kinds - NOT_KEPT:
        assert type(thaw(freeze(kind(), left=LEFT_OUT))) is kind


def test_nothing_is_written_after_the_end(tmp_path):
    """By the look that was due when it came: another stack may have the home."""
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    keeper.close()
    stack.state.store(("1", "us-east-1"), Jobs)
    keeper._save_everything()
    assert list(home.names("stores")) == []


def test_a_record_and_the_folders_that_name_it_are_on_the_disk_when_it_is_written(
    tmp_path, monkeypatch
):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    synced = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda file: synced.append((os.fstat(file).st_ino, (tmp_path / "a" / "b" / "c").exists())),
    )
    home.write("a/b/c", b"")
    folders = [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    assert set(synced[1:]) == {(folder.stat().st_ino, True) for folder in folders}
    synced.clear()
    home.write("a/b/c", b"")
    assert synced[1:] == [(folders[-1].stat().st_ino, True)]


def test_a_folder_of_records_that_cannot_be_cleared_is_an_error(tmp_path):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    home.write("in the way", b"")
    home.clear("absent")
    with pytest.raises(NotADirectoryError):
        home.clear("in the way")


def test_a_version_that_comes_while_its_key_is_written_is_written_next(tmp_path, monkeypatch):
    backend = s3_backends["111111111111"]["aws"]
    bucket = backend.create_bucket("versions", "us-east-1")
    bucket.versioning_status = "Enabled"
    backend.put_object("versions", "key", b"1")
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    kept = Objects(home)
    read = type(bucket.keys).getlist

    def getlist(keys, *arguments):
        versions = list(read(keys, *arguments))
        if len(versions) == 1:
            monkeypatch.undo()
            backend.put_object("versions", "key", b"2")
        return versions

    try:
        kept._keys.add(("versions", "key"))
        monkeypatch.setattr(type(bucket.keys), "getlist", getlist)
        kept.save()
        assert len(bucket.keys.getlist("key")) == 2
        kept.look()
        kept.save()
        (record,) = (name for name in home.names("s3/objects") if not name.endswith(".body"))
        _, versions, _ = thaw(home.read(record))
        assert len(versions) == 2
    finally:
        backend.reset()


def test_what_background_work_changed_in_a_large_store_is_written_at_a_clean_end(tmp_path):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    with stack.state.request(mutating=True):
        jobs = stack.state.store(("1", "us-east-1"), Jobs)
        jobs.training["large"] = "x" * (1 << 19)
        keeper.save()
    jobs.training["large"] += "changed"
    keeper.close()
    ((_, again),) = stores.Stores(home).restore()
    assert again.training == jobs.training


def test_what_moves_from_a_store_into_an_object_while_they_are_written_is_in_one_of_them_whenever_the_stack_dies(
    tmp_path, monkeypatch
):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    with stack.state.request(mutating=True):
        jobs = stack.state.store(("1", "us-east-1"), Jobs)
        jobs.training["pending"] = "record"
        monkeypatch.setattr(
            keeper._objects, "save", jobs.training.clear
        )  # it becomes an object, which this save does not see any more
        keeper.save()
        ((_, again),) = stores.Stores(home).restore()
        assert again.training == {"pending": "record"}
        stack.state.store(("1", "us-east-1"), Jobs)
        keeper.save()
    ((_, again),) = stores.Stores(home).restore()
    assert again.training == {}


def test_what_a_request_changes_is_written_when_it_saves_also_where_another_one_saved_the_store_meanwhile(
    tmp_path,
):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    with stack.state.request(mutating=True):
        jobs = stack.state.store(("1", "us-east-1"), Jobs)
        other = threading.Thread(target=keeper._save_everything)
        other.start()
        other.join()
        jobs.training["name"] = "job"
        keeper.save()
    ((_, again),) = stores.Stores(home).restore()
    assert again.training == {"name": "job"}


def test_what_a_request_changes_in_a_large_store_is_written_by_the_next_look_though_one_came_before_the_change(
    tmp_path,
):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    stack.state.store(("1", "us-east-1"), Jobs).training["large"] = "x" * (1 << 19)
    keeper._save_everything()
    with stack.state.request(mutating=True):
        jobs = stack.state.store(("1", "us-east-1"), Jobs)
        keeper._save_everything()
        jobs.training["name"] = "job"
        keeper.save()
    keeper._save_everything()
    ((_, again),) = stores.Stores(home).restore()
    assert again.training["name"] == "job"


def test_what_a_request_changed_before_it_was_refused_is_written_by_the_next_look(tmp_path):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    stack.state.store(("1", "us-east-1"), Jobs).training["large"] = "x" * (1 << 19)
    keeper._save_everything()
    with suppress(KeyError), stack.state.request(mutating=True):
        jobs = stack.state.store(("1", "us-east-1"), Jobs)
        jobs.training["name"] = "job"
        raise KeyError
    keeper._save_everything()
    ((_, again),) = stores.Stores(home).restore()
    assert again.training["name"] == "job"


def test_a_store_that_requests_only_read_is_not_frozen_for_the_changes_of_others(
    tmp_path, monkeypatch
):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper = Keeper(home, stack, None)
    with stack.state.request(mutating=False):
        stack.state.store(("1", "us-east-1"), Groups)
    frozen = []
    monkeypatch.setattr(stores, "freeze", lambda store, **_: frozen.append(type(store)) or b"")
    with stack.state.request(mutating=True):
        stack.state.store(("1", "us-east-1"), Jobs)
        keeper.save()
    assert frozen == [Jobs]


def test_what_a_request_changes_after_one_that_it_made_itself_is_written_when_it_saves(
    tmp_path, monkeypatch
):
    home = Home(tmp_path, "aws", {}, moto_answers=False)
    stack = SimpleNamespace(state=State(), clock=Clock("manual"))
    keeper, front = Keeper(home, stack, None), Front.__new__(Front)
    front.stack = stack
    monkeypatch.setattr(wire, "understand", lambda _: SimpleNamespace(operation="CreateModel"))
    monkeypatch.setattr(front, "_answer", lambda _: keeper.save(), raising=False)
    with stack.state.request(mutating=True):
        jobs = stack.state.store(("1", "us-east-1"), Jobs)
        front._internal({})
        jobs.training["name"] = "job"
        keeper.save()
    ((_, again),) = stores.Stores(home).restore()
    assert again.training == {"name": "job"}


@pytest.mark.parametrize(
    "value", [threading.Lock(), threading.RLock(), threading.Condition(), queue.SimpleQueue()]
)
def test_what_belongs_to_a_process_is_new_when_it_is_read_again(value):
    first, second = thaw(freeze([value, value]))
    assert first is second is not value
    assert type(first) is type(value)


def test_an_event_is_as_it_was():
    event = threading.Event()
    event.set()
    assert [each.is_set() for each in thaw(freeze([event, threading.Event()]))] == [True, False]
