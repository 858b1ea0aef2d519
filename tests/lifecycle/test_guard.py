"""guard: which endpoints nobody uses, on three targets, with the target's clock moved on."""

import re
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode
from msgspec.structs import replace

import isthmus
from isthmus.adapters import targets
from isthmus.core.formats import decode
from isthmus.core.runtime.project import Project
from isthmus.endpoints.deploy.restoration import is_stopped
from isthmus.endpoints.gateway.decide.live_document import LIVE, Live
from isthmus.endpoints.gateway.decide.sticky_split import key as split_key
from isthmus.endpoints.traffic import owner
from isthmus.errors import Conflict, NotFound, NotSettled, ProjectError, Refused, Unavailable
from isthmus.lifecycle.resources.guard import guard
from isthmus.lifecycle.resources.idleness import judge, span_text
from isthmus.lifecycle.resources.stopping import stop
from isthmus.pipelines.models import predictor
from isthmus.project.load import load
from isthmus.project.profiles.idle import idle_rule
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.states import State
from isthmus.tests.cli.running import isthmus as isthmus_command
from isthmus.tests.cli.running import tree
from isthmus.tests.conformance import places
from isthmus.tests.conformance.toy_models import remove_endpoints, toy_class
from isthmus.tests.endpoints import mini
from isthmus.times import wall_clock

DOCUMENTS = Path(__file__).parents[1] / "documents"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
FILES = {
    "project.yaml": """
name: conf
entities:
  item: {key: item_id, type: int}
events:
  impression:
    owner: a@example.com
    attributes:
      item_id: {type: int}
      x:       {type: float}
  click:
    owner: a@example.com
    attributes:
      impression_id: {type: string}
      item_id:       {type: int}
objectives:
  ctr: {rate: click / impression, within: 30m, goal: maximise}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    variants:
      champion:   {model: ranker@champion,   traffic: 90}
      challenger: {model: ranker@challenger, traffic: 10}
""",
    "models/toy.yaml": """
model: ranker
alias: champion
objective: ctr
features: [x]
serve_as: {x: 1.0}
trainer: isthmus.logistic
""",
    "models/other.yaml": """
model: ranker
alias: challenger
objective: ctr
features: [x]
serve_as: {x: 1.0}
trainer: isthmus.logistic
""",
    "profiles.yaml": "targets: {sagemaker: {}, vertex: {}}\n",
}


def adapters():
    """The adapters whose packages, and those of their offline stacks, are installed."""
    yield "local"
    if find_spec("boto3") and find_spec("moto"):
        yield "sagemaker"
    if find_spec("google") and find_spec("grpc"):
        yield "vertex"


@pytest.fixture(params=list(adapters()))
def project(request, tmp_path):
    """A deployed endpoint that has had a request, which the target's metrics have counted."""
    mini.write(tmp_path / "shop", FILES)
    profile = places.fresh(request.param, tmp_path / "shop" / ".isthmus")
    target = targets.load(profile)
    with Project(load(tmp_path / "shop"), target) as opened:
        isthmus.apply(opened)
        for value, model in enumerate(opened.spec.models.values()):
            registered(opened, tmp_path, model, float(value))
        isthmus.deploy(opened, "ranker")
        asked(opened)
        yield opened
        remove_endpoints(target)


def registered(project, folder, model, value):
    """A version of a model that answers `value`, under the model's alias."""
    place, target = folder / f"made-{value}", project.target
    digest = predictor.save(
        toy_class(folder / "code")(value), place, model=model, types={"x": "float64"}
    )
    uri = f"{target.blobs.root}/models/ranker/{digest}"
    target.blobs.upload(place, uri)
    version = target.registry.register("ranker", uri=uri, digest=digest, image="isthmus")
    target.registry.set_alias("ranker", model.alias, version.version)
    return version


def asked(project):
    """Send the endpoint a request now."""
    answer = project.target.endpoints.invoke("ranker", [{"x": 1}], variant=None, request_id="q")
    assert len(answer.predictions) == 1


def later(project, hours):
    """Move the target's clock on by so many hours from now."""
    moment = datetime.now(UTC) + timedelta(hours=hours)
    project.target.clock = lambda: moment


def ranker(project):
    (line,) = [line for line in guard(project).lines if line.name == "ranker"]
    return line


@pytest.mark.slow
def test_an_endpoint_is_idle_once_it_had_no_request_for_the_time_of_its_target(project):
    later(project, 1)
    assert ranker(project).status == "active"
    later(project, 9)
    line = ranker(project)
    assert line.status == "idle"
    assert 8 * HOUR < line.idle_for <= 9 * HOUR
    assert line.last_request is not None
    if line.hourly_cost:
        assert line.idle_cost == pytest.approx(
            line.hourly_cost * Decimal(line.idle_for / HOUR), abs=Decimal("0.001")
        )
    assert (line.hourly_cost == 0) == (project.target.name == "local")
    assert f"no request for {span_text(line.idle_for)} (idle after 6h)" in str(guard(project))
    project.target.profile = replace(
        project.target.profile,
        options=project.target.profile.options | {"idle": {"after": "10h"}},
    )
    assert ranker(project).status == "active"


@pytest.mark.slow
def test_what_cannot_be_measured_is_unknown_and_never_idle(project, monkeypatch):
    later(project, 15 * 24)
    line = ranker(project)
    assert (line.status, line.idle_for) == ("unknown", None)
    assert line.why.startswith("no metric of it in the last 14d")
    later(project, 9)
    for error in (NotSettled("the window is too young"), Unavailable("it is away")):

        def fail(*_, error=error):
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(project.target.metrics, "read", fail)
            assert ranker(project).status == "unknown"
            assert stop(project) == guard(project)
    adapter = project.target.adapter
    ports = {name: port for name, port in adapter.ports.items() if name != "metrics"}
    project.target.adapter = replace(adapter, ports=ports)
    assert ranker(project).why == "this target has no metrics"
    project.target.adapter = adapter
    assert ranker(project).status == "idle"


@pytest.mark.slow
def test_an_endpoint_of_a_rollout_or_an_experiment_is_owned_and_not_idle(project):
    later(project, 9)
    state = project.target.endpoints.observe("ranker")
    for kind in ("rollout", "experiment"):
        owner.take(
            project.target.state,
            state,
            kind=kind,
            name="one",
            command="",
            now=project.wall() - 8 * HOUR,
        )
        line = ranker(project)
        assert (line.status, line.kept) == ("owned", f"its traffic belongs to {kind} one")
        stop(project)
        assert project.target.endpoints.observe("ranker") is not None
        owner.release(
            project.target.state, "ranker", kind=kind, name="one", now=project.wall() - 8 * HOUR
        )
    assert ranker(project).status == "idle"
    written = decode(
        (DOCUMENTS / "0.2.0/experiment_live.json").read_bytes(), Live, what="the live document"
    )
    layers = {name: replace(layer, endpoint="ranker") for name, layer in written.layers.items()}
    project.target.state.put(LIVE, encode(replace(written, layers=layers)), expect=None)
    assert stop(project) == guard(project)
    line = ranker(project)
    assert (line.status, line.kept) == (
        "owned",
        f"experiment {written.runs[0].run} needs it",
    ), "a run that moves no traffic owns none of it"
    assert project.target.endpoints.observe("ranker") is not None


@pytest.mark.slow
@pytest.mark.skipif("sagemaker" not in adapters(), reason="the page shows SageMaker's prices")
@pytest.mark.parametrize("project", ["sagemaker"], indirect=True)
def test_the_how_to_shows_what_guard_says(project):
    later(project, 9)
    page = (DOCUMENTS.parents[1] / "docs/how-to.md").read_text()
    shown = page.partition("$ isthmus guard --target sagemaker\n")[2].partition("\nnext ")[0]
    said = str(guard(project)).splitlines()
    figures = re.compile(r"\d+h( \d+m)?|[\d.]+ USD so far")
    for line in shown.splitlines()[1:]:
        assert figures.sub("", line) in [figures.sub("", each) for each in said]


def percents(project):
    return {v.name: v.percent for v in project.target.endpoints.observe("ranker").variants}


def versions(project):
    return {v.name: v.version for v in project.target.endpoints.observe("ranker").variants}


def newer_version(project, value):
    """A version of which the alias challenger is the name from now on."""
    model = project.spec.models["other"]
    return registered(project, project.folder, model, value)


@pytest.mark.slow
def test_what_was_stopped_comes_back_by_deploy_with_its_versions_and_its_split(project):
    isthmus.traffic(project, "ranker", {"challenger": Decimal(30)})
    before = versions(project), percents(project)
    asked(project)
    newer = newer_version(project, 7.0)
    later(project, 1)
    assert stop(project) == guard(project), "it is in use"
    assert (versions(project), percents(project)) == before
    later(project, 9)
    stopped = stop(project)
    assert [(line.name, line.status) for line in stopped.lines if line.kind == "endpoint"] == [
        ("ranker", "stopped")
    ]
    assert project.target.endpoints.observe("ranker") is None
    assert guard(project) == stop(project) == stopped, "again changes nothing"
    with pytest.raises(NotFound, match="there is no endpoint ranker"):
        isthmus.traffic(project, "ranker", {"challenger": Decimal(10)})
    project.target.clock = wall_clock
    back = isthmus.deploy(project, "ranker")
    assert back.created
    assert (versions(project), percents(project)) == before
    assert "it comes back as it was when it was stopped" in back.notes[0]
    assert back.notes[1].endswith(f"project.yaml names ranker@{newer.version} by now: deploy again")
    asked(project)
    assert ranker(project).status == "active"
    isthmus.traffic(project, "ranker", {"challenger": Decimal(0)})
    assert isthmus.deploy(project, "ranker").notes == ()
    assert versions(project)["challenger"] == newer.version


@pytest.mark.slow
def test_of_a_sticky_endpoint_every_unit_comes_back_to_its_variant(project):
    isthmus.traffic(project, "ranker", {"challenger": Decimal(0)})
    remove_endpoints(project.target)
    claim = owner.read(project.target.state, "ranker")
    project.target.state.delete(owner.key("ranker"), expect=claim.token)
    text = FILES["project.yaml"].replace(
        "unit: visitor_id", "unit: visitor_id\n    routing: sticky"
    )
    (project.folder / "project.yaml").write_text(text.lstrip())
    sticky = Project(load(project.folder), project.target)
    isthmus.deploy(sticky, "ranker")
    project.target.endpoints.invoke("ranker", [{"x": 1}], variant="champion", request_id="q")
    split = project.target.state.get(split_key("ranker")).value
    before = versions(project)
    later(sticky, 9)
    assert stop(sticky).lines[0].status == "stopped"
    project.target.clock = wall_clock
    isthmus.deploy(sticky, "ranker")
    assert project.target.state.get(split_key("ranker")).value == split
    assert versions(project) == before


@pytest.mark.slow
def test_the_command_tells_by_its_exit_code_and_stops_where_the_target_says_so(shop, monkeypatch):
    isthmus_command(shop, "train", "models/history.yaml")
    isthmus_command(shop, "deploy", "home")
    load_target = targets.load
    moved = {"by": timedelta(0)}

    def load_later(*arguments, **keywords):
        target = load_target(*arguments, **keywords)
        target.clock = lambda: datetime.now(UTC) + moved["by"]
        return target

    monkeypatch.setattr(targets, "load", load_later)
    assert isthmus_command(shop, "guard", "--detailed-exitcode").code == 0
    moved["by"] = 7 * HOUR
    said = isthmus_command(shop, "guard", "--detailed-exitcode", ok=False)
    assert said.code == 3
    assert "next   isthmus guard --stop" in said.out
    (line,) = isthmus_command(shop, "guard", "--json").json["lines"]
    assert (line["name"], line["status"], line["kept"]) == ("home", "idle", "")
    before = tree(shop)
    said = isthmus_command(shop, "guard", "--stop", "--dry-run")
    assert said.out.endswith("dry run: would call state.put on traffic/home; nothing was changed\n")
    assert tree(shop) == before
    profiles = shop / "profiles.yaml"
    profiles.write_text("targets: {local: {idle: {after: 6h, then: stop}}}\n")
    said = isthmus_command(shop, "guard", "--detailed-exitcode")
    assert "stopped since" in said.out
    assert "next   isthmus deploy home" in said.out
    moved["by"] = timedelta(0)
    said = isthmus_command(shop, "deploy", "home", "--dry-run", "--json").json
    assert [v["version"] for v in said["would"]["variants"]] == [1]
    assert "it comes back as it was" in isthmus_command(shop, "deploy", "home").out
    assert isthmus_command(shop, "guard").code == 0
    isthmus_command(shop, "destroy", "--yes")


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


moments = st.integers(-20 * 24 * 60, 60).map(
    lambda m: datetime(2026, 1, 1, tzinfo=UTC) + m * MINUTE
)


@given(st.none() | moments, st.none() | moments, st.integers(1, 10_000))
def test_idle_is_only_what_had_a_request_and_neither_one_nor_a_change_since(last, touched, minutes):
    until, after = datetime(2026, 1, 1, tzinfo=UTC), minutes * MINUTE
    found = judge(last, touched, measured_until=until, after=after)
    if found.status == "idle":
        assert last is not None
        assert until - last >= after
        assert touched is None or until - touched >= after
        assert found.idle_for >= after
    if last is None:
        assert found.status != "idle"


def test_a_target_s_rule_has_defaults_and_its_mistakes_are_told_with_their_line(tmp_path):
    mini.write(tmp_path, FILES)
    with mini.opened(tmp_path) as project:
        rule = idle_rule(project.target.profile)
    assert (rule.after, rule.then) == (6 * HOUR, "tell")
    for written, message in (
        ("{after: 90s}", "90s is not in whole minutes"),
        ("{after: 20d}", "20d is too long"),
        ("{then: stop}", "after is missing"),
        ("{after: 6h, then: kill}", "'kill' is not known here"),
    ):
        (tmp_path / "profiles.yaml").write_text(f"targets:\n  local:\n    idle: {written}\n")
        with pytest.raises(ProjectError, match=message) as error:
            mini.opened(tmp_path)
        assert "profiles.yaml:3" in str(error.value)


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
    state = replace(decode(written, State, what="rollout"), endpoint="ranker", released=False)
    documents.write(project.target.state, state, expect=None)
    return not is_stopped(claim)


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
