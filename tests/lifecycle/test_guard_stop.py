"""guard --stop: what was stopped comes back by deploy, with its versions and its split."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import isthmus
from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.endpoints.gateway.decide.sticky_split import key as split_key
from isthmus.endpoints.traffic import owner
from isthmus.errors import NotFound
from isthmus.lifecycle.resources.guard import guard
from isthmus.lifecycle.resources.stopping import stop
from isthmus.project.load import load
from isthmus.tests.cli.running import isthmus as isthmus_command
from isthmus.tests.cli.running import tree
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.lifecycle.deployed import (
    FILES,
    HOUR,
    asked,
    later,
    percents,
    project,
    ranker,
    registered,
    versions,
)
from isthmus.times import wall_clock

__all__ = ["project"]


@pytest.mark.slow
def test_what_was_stopped_comes_back_by_deploy_with_its_versions_and_its_split(project):
    isthmus.traffic(project, "ranker", {"challenger": Decimal(30)})
    before = versions(project), percents(project)
    asked(project)
    newer = registered(project, project.folder, project.spec.models["other"], 7.0)
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
def test_what_a_killed_deploy_has_brought_back_is_not_stopped_again(project, monkeypatch):
    asked(project)
    before = versions(project), percents(project)
    later(project, 9)
    stop(project)
    project.target.clock = wall_clock
    with monkeypatch.context() as patched:
        patched.setattr(owner, "settle", killed)
        with pytest.raises(KeyboardInterrupt):
            isthmus.deploy(project, "ranker")
    assert owner.read(project.target.state, "ranker").owner.owner == "guard"
    later(project, 18)
    assert (ranker(project).status, guard(project).to_stop) == ("unknown", ())
    stop(project)
    project.target.clock = wall_clock
    asked(project)
    assert isthmus.deploy(project, "ranker").created is False
    assert (versions(project), percents(project)) == before
    assert ranker(project).status == "active"


@pytest.mark.slow
def test_a_version_that_was_rejected_meanwhile_is_named(project):
    asked(project)
    was = versions(project)["challenger"]
    later(project, 9)
    stop(project)
    newer = registered(project, project.folder, project.spec.models["other"], 7.0)
    project.target.registry.set_approval("ranker", was, "rejected", "tried")
    project.target.clock = wall_clock
    notes = isthmus.deploy(project, "ranker").notes
    assert "comes back with other versions than it had" in notes[0]
    assert f"challenger was ranker@{was}" in notes[1]
    assert f"ranker@{newer.version}" in notes[1]


def killed(*_, **__):
    """Stand for a process that is killed here."""
    raise KeyboardInterrupt


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
