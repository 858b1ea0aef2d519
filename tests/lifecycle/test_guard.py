"""guard: which endpoints nobody uses, on three targets, with the target's clock moved on."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import encode
from msgspec.structs import replace

from isthmus.core.formats import decode
from isthmus.endpoints.gateway.decide.live_document import LIVE, LiveExperiments
from isthmus.endpoints.traffic import owner
from isthmus.errors import NotSettled, ProjectError, Unavailable
from isthmus.lifecycle.resources.guard import guard
from isthmus.lifecycle.resources.idleness import judge, span_text
from isthmus.lifecycle.resources.stopping import stop
from isthmus.project.profiles.idle import idle_rule
from isthmus.tests.endpoints import mini
from isthmus.tests.lifecycle.deployed import (
    DOCUMENTS,
    FILES,
    HOUR,
    MINUTE,
    adapters,
    later,
    project,
    ranker,
)

__all__ = ["project"]


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
        (DOCUMENTS / "0.2.0/experiment_live.json").read_bytes(),
        LiveExperiments,
        what="the live document",
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
