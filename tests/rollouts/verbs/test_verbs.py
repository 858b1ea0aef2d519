"""start, status, pause, resume, promote, abort, wait: what people may ask, on the example's project
in the scripted world.
"""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from isthmus.endpoints.traffic import owner
from isthmus.errors import Busy, Invalid, NotFound, Refused, Unavailable
from isthmus.rollouts import controller
from isthmus.rollouts.rehearsal.player import play
from isthmus.rollouts.rehearsal.rehearse import blind, plan_of, setting
from isthmus.rollouts.rehearsal.scenario_file import read
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.states import Wish
from isthmus.rollouts.verbs import rollout
from isthmus.rollouts.verbs.status import status_of
from isthmus.rollouts.world import Traits

from ..desk import MINUTE, SPEC, Desk
from ..scene import TARGETS, Scene

ALIKE = replace(SPEC, variants=(SPEC.variants[0], replace(SPEC.variants[1], version=1)))


def test_start_shows_the_whole_plan_and_moves_nothing_by_itself(desk):
    begun = rollout.start(desk.project, "ranker", because="r7 is better")
    assert (
        "champion ranker@1 -> challenger ranker@2   10 % -> 25 % 15m -> 50 % 30m, then a "
        "person -> 100 % 30m" in str(begun)
    )
    assert begun.id == "ro1"
    assert desk.serving() == {"champion": 90, "challenger": 10}
    assert [entry.what for entry in rollout.history(desk.project, "ranker")] == ["started"]


def test_a_second_start_is_refused_and_names_the_command_that_ends_the_first(desk):
    rollout.start(desk.project, "ranker")
    with pytest.raises(Refused, match="one rollout at a time") as refused:
        rollout.start(desk.project, "ranker")
    assert refused.value.remedy == "isthmus rollout abort ranker"


def test_a_start_while_the_last_one_hands_over_says_which_still_runs(desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "waiting")
    rollout.promote(desk.project, "ranker", because="fine")
    desk.drive(lambda state: state.phase == "promoted")
    rollout.promote(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "handing")
    with pytest.raises(Refused, match="ro1 of ranker still hands over: the version of") as refused:
        rollout.start(desk.project, "ranker")
    assert refused.value.remedy == "wait until it is over: isthmus rollout wait ranker"


@pytest.mark.parametrize("traits", TARGETS, ids=lambda traits: traits.name)
def test_the_time_that_status_foretells_is_the_minute_in_which_the_step_comes(traits):
    """It counts how late the target's metrics come."""
    scene = Scene(traits)
    baking = scene.until("baking", 2)
    told = status_of(traits.name, baking, None, scene.world.now(), project_differs=False)
    (foretold,) = re.findall(r"next step 100 % at (\d\d:\d\d) UTC", str(told))
    scene.run(600, until=lambda state: state.stage == 3)
    came = scene.world.now()
    assert foretold in {f"{came - late:%H:%M}" for late in (timedelta(0), MINUTE)}


def test_start_is_refused_while_a_hand_moves_the_traffic(desk):
    state = desk.project.target.state
    owner.intend(
        state,
        "ranker",
        {"champion": Decimal(80), "challenger": Decimal(20)},
        kind="traffic",
        claim=None,
        now=desk.world.now(),
    )
    with pytest.raises(Refused, match="moved by isthmus traffic"):
        rollout.start(desk.project, "ranker")
    assert documents.read(state, "ranker") is None


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"split": (70, 30)}, Invalid, "step 1 is 25 %, and challenger has 30 % already"),
        ({"aliases": (1, 1)}, Refused, "runs champion ranker@1, challenger ranker@2"),
        ({"spec": ALIKE, "aliases": (1, 1)}, Refused, "serves already"),
    ],
)  # fmt: skip
def test_what_cannot_start_is_refused_before_anything_is_written(
    monkeypatch, tmp_path, change, error, says
):
    desk = Desk(monkeypatch, tmp_path, **change)
    with pytest.raises(error, match=says):
        rollout.start(desk.project, "ranker")
    assert documents.read(desk.project.target.state, "ranker") is None


def test_start_waits_for_nobody_when_a_variant_is_not_ready(desk):
    desk.world.fleet.variants["challenger"].phase = "updating"
    with pytest.raises(Busy, match="not ready"):
        rollout.start(desk.project, "ranker")


def test_a_rollout_of_another_name_is_not_there(desk):
    with pytest.raises(NotFound, match="has no rollout for rnker"):
        rollout.start(desk.project, "rnker")


@pytest.mark.parametrize(
    "verb", ["pause", "resume", "promote", "abort", "status", "history", "wait", "run"]
)
def test_nothing_can_be_asked_of_a_rollout_that_never_was(desk, verb):
    with pytest.raises(NotFound, match="has had no rollout"):
        getattr(rollout, verb)(desk.project, "ranker")


def test_a_pause_holds_the_step_and_resume_lets_it_go(desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    assert "PAUSED" in str(rollout.pause(desk.project, "ranker", because="lunch"))
    desk.sleep(3600)
    with pytest.raises(AssertionError):
        desk.drive(lambda state: state.stage == 2, minutes=30)
    rollout.resume(desk.project, "ranker")
    assert desk.drive(lambda state: state.stage == 2)
    with pytest.raises(Refused, match="not paused"):
        rollout.resume(desk.project, "ranker")


def test_a_persons_yes_is_asked_for_and_taken_where_a_step_pauses(desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    with pytest.raises(Refused, match="asks nobody"):
        rollout.promote(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "waiting")
    seen = rollout.status(desk.project, "ranker")
    assert "WAITS FOR A PERSON" in str(seen)
    assert 'isthmus rollout promote ranker --because "..."' in str(seen)
    assert rollout.wait(desk.project, "ranker") == "waiting"
    rollout.promote(desk.project, "ranker", because="fine")
    desk.drive(lambda state: state.phase == "promoted")
    assert rollout.wait(desk.project, "ranker") == "promoted"


def test_promoting_against_the_data_needs_a_reason_which_is_kept(desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "waiting")
    desk.world.outage = True
    desk.sleep(600)
    with pytest.raises(Refused, match="no data"):
        rollout.promote(desk.project, "ranker")
    rollout.promote(desk.project, "ranker", because="the metrics are down, the logs are fine")
    desk.drive(lambda state: state.stage == 3)
    assert any(
        "the metrics are down" in entry.why for entry in rollout.history(desk.project, "ranker")
    )


def test_an_abort_takes_the_lease_of_whoever_drives_and_brings_everything_back(desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    assert desk.serving() == {"champion": 75, "challenger": 25}
    assert desk.state.lease.holder == "somebody"
    seen = rollout.abort(desk.project, "ranker", because="odd answers")
    assert (seen.state.phase, seen.state.end) == ("ended", "aborted")
    assert desk.serving() == {"champion": 100, "challenger": 0}
    assert "odd answers" in str(seen)


def test_an_abort_with_nothing_running_calls_nothing_and_says_how_to_go_on(desk):
    rollout.start(desk.project, "ranker")
    rollout.abort(desk.project, "ranker")
    before = len(desk.project.target.calls.calls)
    seen = rollout.abort(desk.project, "ranker")
    assert not [call for call in desk.project.target.calls.calls[before:] if call.mutating]
    assert "isthmus rollout start ranker" in str(seen)


def test_wait_gives_up_when_its_time_is_over_and_the_rollout_goes_on(desk):
    rollout.start(desk.project, "ranker")
    assert rollout.wait(desk.project, "ranker", timeout=timedelta(0)) == "timeout"
    assert desk.state.phase == "starting"


def test_a_tick_looks_once_and_gives_its_lease_back(desk):
    rollout.start(desk.project, "ranker")
    assert "ro1" in rollout.tick(desk.project)["ranker"]
    assert desk.state.lease.holder == ""


def test_status_of_an_aborted_one_says_until_when_its_traffic_is_its_own(desk):
    rollout.start(desk.project, "ranker")
    rollout.tick(desk.project)
    rollout.abort(desk.project, "ranker", because="odd answers")
    until = f"{desk.state.watch_until:%H:%M:%S} UTC"
    assert str(rollout.status(desk.project, "ranker")).splitlines()[1:] == [
        (
            f"the traffic stays its own until {until}: it looks whether a late call changes what "
            "it left"
        ),
        f"next   mend it, then isthmus rollout start ranker: a new rollout, after {until}",
    ]
    rollout.run_to_end(desk.project, "ranker")
    assert str(rollout.status(desk.project, "ranker")).splitlines()[1:] == [
        "next   mend it, then isthmus rollout start ranker: a new rollout"
    ]


def test_status_says_so_too_when_the_last_one_gave_its_lease_back(desk):
    rollout.start(desk.project, "ranker")
    rollout.tick(desk.project)
    desk.sleep(3 * 3600)
    assert str(rollout.status(desk.project, "ranker")).startswith("NOBODY HAS LOOKED FOR 3h")


def test_a_tick_looks_at_what_the_project_no_longer_describes(desk):
    rollout.start(desk.project, "ranker")
    del desk.project.spec.rollouts["ranker"]
    assert "ro1" in rollout.tick(desk.project)["ranker"]


def test_a_rollout_that_cannot_be_looked_at_does_not_hide_the_others(desk):
    rollout.start(desk.project, "ranker")
    desk.project.spec.endpoints["another"] = desk.project.spec.endpoints["ranker"]
    desk.project.target.state.put("rollouts/another", b'{"schema": 99}', expect=None)
    with pytest.raises(Refused, match="newer Isthmus"):
        rollout.tick(desk.project)
    assert desk.state.lease.epoch == 1


def test_what_was_asked_is_told_also_when_the_endpoint_cannot_be_read(desk, monkeypatch):
    rollout.start(desk.project, "ranker")

    def away(_endpoint):
        raise Unavailable("no answer")

    monkeypatch.setattr(desk.project.target.endpoints, "observe", away)
    assert rollout.pause(desk.project, "ranker").serves is None
    assert desk.state.wish.pause is not None


def test_whoever_drives_until_the_promotion_leaves_with_the_alias_moved(desk):
    begun = rollout.start(desk.project, "ranker")
    assert begun.wait() == "waiting"
    rollout.promote(desk.project, "ranker", because="fine")
    assert begun.wait() == "promoted"
    assert desk.project.target.registry.get("ranker", "champion").version == 2


def test_status_says_when_nobody_looks_and_when_the_project_has_changed(desk):
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    desk.sleep(600)
    declared = desk.project.spec.rollouts["ranker"]
    desk.project.spec.rollouts["ranker"] = replace(declared, failure_limit=5)
    lines = str(rollout.status(desk.project, "ranker")).splitlines()
    assert lines[0].startswith("NOBODY HAS LOOKED FOR 10m")
    assert lines[0].endswith("isthmus rollout run ranker")
    assert "project.yaml has changed" in lines[-1]


def test_a_document_of_a_newer_version_is_refused_and_stays_as_it_is(desk):
    state = desk.project.target.state
    state.put("rollouts/ranker", b'{"schema": 99}', expect=None)
    for verb in (rollout.start, rollout.status, rollout.abort, rollout.tick):
        with pytest.raises(Refused, match="newer Isthmus"):
            verb(desk.project, "ranker")
    assert state.get("rollouts/ranker").value == b'{"schema": 99}'


def test_a_driver_that_cannot_read_the_rollout_says_so_and_ends_when_its_time_is_over(
    desk, monkeypatch
):
    rollout.start(desk.project, "ranker")
    problems, read = [], documents.read
    looks = iter([True])  # the first reading is the verb's own

    def unreadable(*arguments):
        if next(looks, False):
            return read(*arguments)
        raise Unavailable("no answer from the store")

    monkeypatch.setattr(documents, "read", unreadable)
    with pytest.raises(Unavailable):
        rollout._drive(
            desk.project,
            "ranker",
            lambda _state: False,
            timedelta(0),
            watch=lambda result: problems.extend(result.problems),
        )
    assert problems == ["no answer from the store"]


def test_a_wish_survives_a_look_that_was_faster(desk):
    rollout.start(desk.project, "ranker")
    store, tries = desk.project.target.state, []

    def check(_state):
        if not tries:
            tries.append(True)
            controller.look(
                rollout.ports_of(desk.project), "ranker", holder="faster", clock=desk.world.now
            )

    rollout.wishes.ask(store, "ranker", "pause", who="ann", wished_at=desk.world.now(), check=check)
    assert desk.state.wish.pause == Wish(who="ann", at=desk.world.now())
    assert desk.state.lease.holder == "faster"


@pytest.mark.parametrize(
    "traits",
    [
        Traits(name="local"),
        Traits(name="sagemaker", fenced=False, metrics_delay=3 * MINUTE, takes=MINUTE),
    ],
)
def test_what_only_watches_does_not_hold_the_hand_over(desk, traits):
    scenario = read(desk.project.folder / "scenarios" / "errors.yaml", desk.project.spec.rollouts)
    plan = plan_of(
        blind(desk.project.spec.rollouts["ranker"]), desk.project.spec.endpoints["ranker"], traits
    )
    assert play(scenario, plan, "ranker", setting(scenario, plan, traits)).end == "promoted"
