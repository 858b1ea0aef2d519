"""A scenario gives the same sequence of decisions in the scripted world and through the genuine
adapters: this machine, the clouds' stacks.

The world is what CI and the simulation believe in, so it is judged here by what it stands for. One
file is played in the suite, as real processes are slow; ISTHMUS_SCENARIOS=all plays every file
(about five minutes).
"""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

import isthmus as im
from isthmus.lifecycle.rehearsal.places import Home
from isthmus.rollouts.rehearsal.endpoint import stand_up
from isthmus.rollouts.rehearsal.player import play
from isthmus.rollouts.rehearsal.rehearse import plan_of, setting
from isthmus.rollouts.rehearsal.scenario_file import read
from isthmus.rollouts.rehearsal.target_setting import TargetSetting
from isthmus.rollouts.world import traits_of
from isthmus.tests.cli.running import create
from isthmus.tests.cli.running import isthmus as command_line
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.genuine import PLACES, deployed, laptop
from isthmus.tests.rollouts.scenario_files import ENDPOINT, FILES, ROLLOUT

pytestmark = [pytest.mark.soak, pytest.mark.slow]

CHOSEN = ("drift",)
PLAYED = [
    path for path in FILES if os.environ.get("ISTHMUS_SCENARIOS") == "all" or path.stem in CHOSEN
]

CASES = [
    (kind, path)
    for kind in PLACES
    for path in PLAYED
    if not (kind is laptop and path.stem == "busy")
]  # it never is


@pytest.fixture
def place(request, tmp_path):
    return request.param(tmp_path)


@pytest.mark.parametrize(
    ("place", "path"),
    CASES,
    ids=lambda part: part.stem if hasattr(part, "stem") else part.__name__,
    indirect=["place"],
)
def test_the_genuine_adapter_decides_as_in_the_scripted_world(path, place):
    same(path, place, ENDPOINT)


@pytest.mark.parametrize(
    "place", PLACES if os.environ.get("ISTHMUS_SCENARIOS") == "all" else PLACES[:1], indirect=True
)
def test_so_it_does_under_sticky_routing(place):
    same(
        next(path for path in FILES if path.stem in CHOSEN),
        place,
        replace(ENDPOINT, routing="sticky"),
    )


def same(path, place, endpoint):
    target = deployed(place, endpoint)
    scenario = read(path, {"ranker": ROLLOUT})
    traits = traits_of(target, endpoint.routing)
    planned = plan_of(ROLLOUT, endpoint, traits)
    start = place.start(planned.advance)
    genuine = TargetSetting(scenario, "ranker", place.open, start=start, rollback=place.rollback)
    try:
        played = play(scenario, planned, "ranker", genuine)
    finally:
        genuine.close()
        remove_endpoints(target)
        target.close()
    world = play(scenario, planned, "ranker", setting(scenario, planned, traits))
    assert not played.unexpected, str(played)
    assert played.sequence == world.sequence
    if target.name == "vertex" and endpoint.routing == "sticky":
        # the hand-over's new version comes, and then the old one goes: a minute later than in the
        # world
        return
    sent = {
        variant: [(m.requests, m.client_errors, m.server_errors) for m in minutes]
        for variant, minutes in played.minutes.items()
    }
    told = {
        variant: [(m.requests, m.client_errors, m.server_errors) for m in minutes]
        for variant, minutes in world.minutes.items()
    }
    assert sent == told, "and everybody was shown the same minutes"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return create(tmp_path_factory.mktemp("rehearsed") / "openbandit", example="openbandit")


@pytest.mark.parametrize(
    "target", [{"laptop": "local"}.get(kind.__name__, kind.__name__) for kind in PLACES]
)
def test_the_command_plays_the_examples_rollout_offline_as_it_does_in_the_world_and_leaves_nothing(
    project, target, monkeypatch
):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    command = [
        "rollout",
        "rehearse",
        "ranker",
        "--scenario",
        "scenarios/errors.yaml",
        "--target",
        target,
        "--json",
    ]
    genuine, world = (command_line(project, *command, *more).json for more in (["--offline"], []))
    assert [decision(entry) for entry in genuine["entries"]] == [
        decision(entry) for entry in world["entries"]
    ]
    assert genuine["unexpected"] == []
    assert not (project / ".isthmus" / "rehearsal").exists()
    assert not (project / ".isthmus" / "stack").exists(), "the stack was none of the project's"


def decision(entry):
    return (
        entry["what"],
        entry["stage"],
        entry["attempt"],
        [(check["guardrail"], check["verdict"]) for check in entry["checks"]],
    )


def test_a_rehearsal_removes_what_a_killed_one_left(project):
    """Its servers outlive it: they stand in a process of their own."""
    folder = project / ".isthmus" / "rehearsal"
    with im.open(project / "project.yaml") as opened:
        place = Home(
            replace(
                opened.target.profile,
                options={**opened.target.profile.options, "home": str(folder)},
            )
        )
        target = place.open()
        stand_up(
            target,
            plan_of(
                opened.spec.rollouts["ranker"], opened.spec.endpoints["ranker"], traits_of(target)
            ),
        )
        target.close()
    assert serving_from(folder)
    command_line(
        project, "rollout", "rehearse", "ranker", "--scenario", "scenarios/errors.yaml", "--offline"
    )
    assert not folder.exists()
    assert not serving_from(folder)


def serving_from(folder):
    return [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if str(folder).encode() in command_of(path)
    ]


def command_of(path):
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # some other process, which has ended meanwhile
        return b""
