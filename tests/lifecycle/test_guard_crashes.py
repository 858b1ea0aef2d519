"""guard --stop: killed at any call, or met by a rollout at any call."""

import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.core.formats import decode
from isthmus.endpoints.traffic import owner
from isthmus.errors import Conflict, Refused
from isthmus.lifecycle.resources.guard import guard
from isthmus.lifecycle.resources.stopping import stop
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.states import RolloutState
from isthmus.tests.lifecycle.deployed import (
    DOCUMENTS,
    asked,
    later,
    percents,
    project,
    versions,
)
from isthmus.times import wall_clock

__all__ = ["project"]


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"])
def test_killed_at_any_call_of_stop_it_is_stopped_by_the_next_and_comes_back_whole(project, side):
    """Also by `deploy` alone: what was half removed is as it was."""
    before = versions(project), percents(project)
    for stop_again in (True, False):
        for number in range(1, 20):
            asked(project)
            later(project, 9)
            crashed = crash_at(project, number, side)
            project.target.calls.before = project.target.calls.after = None
            if stop_again:
                stop(project)
                assert guard(project).lines[0].status == "stopped"
            project.target.clock = wall_clock
            isthmus.deploy(project, "ranker")
            assert (versions(project), percents(project)) == before
            assert owner.read(project.target.state, "ranker").owner.owner == "none"
            if not crashed:
                break
        else:
            raise AssertionError("more calls than were tried")
        assert number > 2, "nothing was cut"


KILLED = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
import isthmus
from isthmus.lifecycle.resources.stopping import stop
folder, side, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
with isthmus.open(folder) as project:
    moment = datetime.now(UTC) + timedelta(hours=9)
    project.target.clock = lambda: moment
    calls = []
    def kill(call):
        calls.append(call)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
    setattr(project.target.calls, side, kill)
    stop(project)
"""


@pytest.mark.slow
@pytest.mark.parametrize("project", ["local"], indirect=True)
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_process_of_stop_that_is_killed_holds_nothing_and_loses_nothing(project, side):
    """kill -9 of the process itself, at each effect."""
    before = versions(project), percents(project)
    for number in range(1, 20):
        asked(project)
        words = [sys.executable, "-c", KILLED, str(project.folder), side, str(number)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        back = isthmus.deploy(project, "ranker")
        assert back.created or ended.returncode
        assert (versions(project), percents(project)) == before
        assert owner.read(project.target.state, "ranker").owner.owner == "none"
        if ended.returncode == 0:
            break
    assert number > 2


# functions that are steps of one removal, by target
WITHIN = {
    "local": ("isthmus.adapters.local.endpoints.host", "delete"),
    "sagemaker": ("isthmus.adapters.sagemaker.resources.deletion", "_delete"),
    "vertex": ("isthmus.adapters.vertex.resources.deletion", "_take_traffic", "_empty"),
}


@pytest.mark.soak
@pytest.mark.slow
def test_killed_within_the_provider_s_removal_it_comes_back_whole(project, monkeypatch):
    before = versions(project), percents(project)
    for number in range(1, 20):
        asked(project)
        later(project, 9)
        ended = []
        with monkeypatch.context() as patched:
            module_name, *names = WITHIN[project.target.name]
            module = import_module(module_name)
            for name in names:
                patched.setattr(module, name, crashing(getattr(module, name), number, ended))
            with suppress(KeyboardInterrupt):
                stop(project)
        crashed = len(ended) == number
        assert guard(project).lines[0].status in ("stopped", *["stopping"] * crashed)
        project.target.clock = wall_clock
        isthmus.deploy(project, "ranker")
        assert (versions(project), percents(project)) == before
        if not crashed:
            break
    assert number > 1


def crashing(function, number, ended):
    """The function, killed right after its call of this number; `ended` counts all calls."""

    def call(*arguments, **keywords):
        result = function(*arguments, **keywords)
        ended.append(function)
        if len(ended) == number:
            raise KeyboardInterrupt
        return result

    return call


def crash_at(project, number, side):
    """Run stop until its mutating call of this number; return whether there was one."""
    count = 0

    def crash(_call):
        nonlocal count
        count += 1
        if count == number:
            raise KeyboardInterrupt

    setattr(project.target.calls, side, crash)
    try:
        stop(project)
    except KeyboardInterrupt:
        return True
    return False


def taking(project):
    """A rollout that takes the traffic, as its controller does; whether it got it."""
    state = project.target.endpoints.observe("ranker")
    if state is None:
        return False
    store = project.target.state
    try:
        owner.take(store, state, kind="rollout", name="r", command="", now=project.wall())
    except (Refused, Conflict):
        return False
    return True


def beginning(project):
    """A rollout that has written its own document, and has not taken the traffic yet; whether it
    came before the guard recorded that it stops the endpoint.
    """
    claim = owner.read(project.target.state, "ranker")
    written = (DOCUMENTS / "0.2.0/rollout.json").read_bytes()
    state = replace(
        decode(written, RolloutState, what="rollout"), endpoint="ranker", released=False
    )
    documents.write(project.target.state, state, expect=None)
    return not owner.is_stopped(claim)


def at_call(store, number, act):
    """Do `act` before the state store's call of this number; its results are the list's."""
    calls, results = 0, []

    def counted(method):
        def call(*arguments, **keywords):
            nonlocal calls
            calls += 1
            if calls == number:
                results.append(act())
            return method(*arguments, **keywords)

        return call

    return results, {name: counted(getattr(store, name)) for name in ("get", "put")}


@pytest.mark.slow
@pytest.mark.parametrize("project", ["local"], indirect=True)
@pytest.mark.parametrize("rival", [taking, beginning])
def test_whenever_a_rollout_comes_it_keeps_the_endpoint_or_is_refused(project, rival, monkeypatch):
    """Before each call of the state store that stop makes."""
    outcomes = set()
    for number in range(1, 60):
        asked(project)
        later(project, 9)
        store = project.target.state
        results, methods = at_call(store, number, lambda: rival(project))
        with monkeypatch.context() as patched:
            for name, method in methods.items():
                patched.setattr(store, name, method)
            stop(project)
        stands = project.target.endpoints.observe("ranker") is not None
        if not results:
            break
        if rival is beginning and not stands:
            assert not taking(project), "it comes too late, and is told"
        assert stands or not results[0]
        outcomes.add((results[0], stands))
        for key in ("rollouts/ranker", *([owner.key("ranker")] if stands else [])):
            if document := store.get(key):
                store.delete(key, expect=document.token)
        project.target.clock = wall_clock
        isthmus.deploy(project, "ranker")
    else:
        raise AssertionError("more calls than were tried")
    assert (True, True) in outcomes, "it was never there first"
    assert (False, False) in outcomes, "it never came too late"
