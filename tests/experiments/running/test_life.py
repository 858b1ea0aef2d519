"""start, ramp, stop, status, history: what people may ask of an experiment, on the example's
project in the scripted world.
"""

from decimal import Decimal

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.decide.assignment import Assigner
from isthmus.endpoints.gateway.smoke import SmokeResult
from isthmus.endpoints.traffic import owner
from isthmus.endpoints.traffic.manual import traffic
from isthmus.errors import Invalid, NotFound, ProjectError, Refused, Unavailable
from isthmus.experiments import experiment
from isthmus.experiments.design import runs
from isthmus.experiments.running import start as starting
from isthmus.experiments.running import status as standing
from isthmus.experiments.running.answers import history_text
from isthmus.lifecycle.resources.destroy import to_destroy
from isthmus.project.specs.experiments import ExperimentArm
from isthmus.project.specs.rules import Condition

from ..desk import AIMED, BLEND, DUEL, Desk, arms, declared

WHY = "ctr +6.1 % at the last look"


@pytest.fixture
def desk(monkeypatch, tmp_path):
    return Desk(monkeypatch, tmp_path, AIMED, BLEND)


def test_a_start_takes_the_traffic_and_the_lowest_buckets_and_says_so(desk):
    started = experiment.start(desk.project, "ranker_v2")
    assert (
        "ranker_v2.1   layer home   20.00 % of units, buckets 0-1999   control 50 / "
        "treatment 50   holdout 5 %" in str(started)
    )
    assert (
        "traffic of ranker: owner none -> experiment ranker_v2.1; 20 invocations of each arm "
        "answered" in str(started)
    )
    assert "gateways take it within 5 s (config 1)" in str(started)
    assert "assignments" in desk.streams
    assert desk.tried == [("champion", {"blend": 0.5}), ("challenger", {"blend": 0.5})]
    run = desk.run("ranker_v2")
    assert [(arm.name, arm.upper, arm.parameters) for arm in run.arms] == [
        ("control", 5000, {"variant": "champion"}),  # which had most of the traffic
        ("treatment", 10_000, {"variant": "challenger"}),
    ]
    claim = owner.read(desk.state, "ranker").owner
    assert (claim.owner, claim.name) == ("experiment", "ranker_v2.1")
    second = experiment.start(desk.project, "blend_up")
    assert (second.run, second.ranges, second.owner_before) == ("blend_up.1", ((2000, 4999),), None)
    assert (
        Assigner(desk.live, "ranker", {"blend": 0.5}).decide("visitor-1", {}).variant == "champion"
    )


def test_an_arm_that_sets_nothing_keeps_the_defaults_of_the_start_but_what_ships_is_the_control_s_too(
    desk,
):
    experiment.start(desk.project, "blend_up")
    assert [arm.parameters for arm in desk.run("blend_up").arms] == [
        {"blend": 0.5},
        {"blend": 0.3},
        {"blend": 0.7},
    ]
    experiment.stop(desk.project, "blend_up", ship="high", because=WHY)
    boosted = replace(BLEND, name="boosted", arms=arms(more={"blend": 0.9, "explore": 1.0}))
    declared(desk.project, BLEND, boosted)
    experiment.start(desk.project, "boosted")
    assert [arm.parameters for arm in desk.run("boosted").arms] == [
        {"explore": 5.0},
        {"blend": 0.9, "explore": 1.0},
    ]
    assigner = Assigner(desk.live, "ranker", {"blend": 0.1})
    assert {assigner.decide(f"{unit}", {}).parameters["blend"] for unit in range(50)} == {0.7, 0.9}


def test_a_second_start_tells_that_it_runs_and_changes_nothing(desk):
    experiment.start(desk.project, "ranker_v2")
    before = dict(desk.world.documents.values)
    again = experiment.start(desk.project, "ranker_v2")
    assert again.already
    assert "runs already (config 1); nothing was changed" in str(again)
    assert desk.world.documents.values == before


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        (replace(AIMED, arms=(ExperimentArm(name="control", weight=9), AIMED.arms[1])), "weights"),
        (
            replace(AIMED, arms=arms(treatment={"variant": "challenger", "blend": 0.1})),
            "arms.treatment",
        ),
        (replace(AIMED, targeting=(Condition(attribute="country", among=("JP",)),)), "targeting"),
    ],
)
def test_what_a_file_says_otherwise_later_touches_no_run_and_is_told_with_its_key(
    desk, changed, key
):
    experiment.start(desk.project, "ranker_v2")
    declared(desk.project, replace(changed, share=Decimal(50), hypothesis="other words"), BLEND)
    with pytest.raises(
        ProjectError, match=rf"experiments\.ranker_v2\.{key}: a running run keeps it \(ranker_v2\.1"
    ) as error:
        experiment.start(desk.project, "ranker_v2")
    assert len(error.value.problems) == 1, "a share and words are no other definition"
    assert standing.status(desk.project, "ranker_v2").differs == (key,)
    assert f"project.yaml says otherwise by now: {key}" in standing.live_lines(desk.project)[0]
    assert desk.run("ranker_v2").arms[0].upper == 5000
    experiment.stop(desk.project, "ranker_v2", because=WHY)
    assert experiment.start(desk.project, "ranker_v2").run == "ranker_v2.2"


def test_more_than_the_layer_has_free_is_refused_and_says_who_holds_it(desk):
    experiment.start(desk.project, "ranker_v2")
    experiment.start(desk.project, "blend_up")
    with pytest.raises(Refused) as error:
        experiment.ramp(desk.project, "ranker_v2", Decimal("70.01"))
    assert (
        str(error.value)
        == "layer home has 70.00 % of its units free; 70.01 % are asked for     blend_up.1 "
        "holds 30 %"
    )
    assert experiment.ramp(desk.project, "ranker_v2", Decimal(70)).ranges == (
        (0, 1999),
        (5000, 9999),
    )


def test_a_ramp_adds_and_gives_back_and_the_history_says_who_and_from_where(desk):
    experiment.start(desk.project, "ranker_v2")
    desk.monkeypatch.setenv("ISTHMUS_USER", "bob@laptop")
    up = experiment.ramp(desk.project, "ranker_v2", Decimal(40))
    assert "20.00 % -> 40.00 %   buckets 0-1999 -> 0-3999   nobody changes arm   config 2" in str(
        up
    )
    assert "nothing was changed" in str(experiment.ramp(desk.project, "ranker_v2", Decimal(40)))
    experiment.ramp(desk.project, "ranker_v2", Decimal("0.01"))
    changes = experiment.history(desk.project, "ranker_v2")
    assert [(c.version, c.who, c.what, c.before, c.after) for c in changes] == [
        (1, "ann", "started", "", "20.00 %"),
        (2, "bob@laptop", "ramped", "20.00 %", "40.00 %"),
        (3, "bob@laptop", "ramped", "40.00 %", "0.01 %"),
    ]
    assert [c.ranges for c in changes] == [((0, 1999),), ((0, 3999),), ((0, 0),)]
    assert "ranker_v2.1 ramped   20.00 % -> 40.00 %" in history_text(changes)
    marked = history_text(changes, (changes[1].at, changes[1].at)).splitlines()
    simulated = [change.at == changes[1].at for change in changes]
    assert [" (simulated)  " in line for line in marked] == simulated
    assert "simulated" not in history_text(changes)
    with pytest.raises(Invalid, match="no share of a layer"):
        experiment.ramp(desk.project, "ranker_v2", Decimal("0.005"))


def test_a_stop_frees_buckets_and_traffic_and_is_told_when_it_is_asked_for_again(desk):
    experiment.start(desk.project, "ranker_v2")
    with pytest.raises(Invalid, match="for a reason"):
        experiment.stop(desk.project, "ranker_v2", because=" ")
    stopped = experiment.stop(desk.project, "ranker_v2", because=WHY)
    assert (stopped.run, stopped.released, desk.live.runs, desk.live.layers) == (
        "ranker_v2.1",
        ("ranker",),
        (),
        {},
    )
    assert owner.read(desk.state, "ranker").owner.owner == "none"
    assert experiment.history(desk.project)[-1].because == WHY
    again = experiment.stop(desk.project, "ranker_v2", because=WHY)
    assert (again.already, again.config) == (True, 2)
    assert standing.status(desk.project, "ranker_v2").state == "stopped"
    with pytest.raises(NotFound, match=r"blend_up never ran on local"):
        experiment.stop(desk.project, "blend_up", because=WHY)
    with pytest.raises(NotFound, match=r"ranker_v2\.1 was stopped at"):
        experiment.ramp(desk.project, "ranker_v2", Decimal(10))


def test_what_ships_is_everybody_s_but_the_holdout_s_and_its_buckets_are_free(desk):
    experiment.start(desk.project, "ranker_v2")
    with pytest.raises(NotFound, match="has no arm treatmnt") as error:
        experiment.stop(desk.project, "ranker_v2", because=WHY, ship="treatmnt")
    assert "did you mean treatment?" in error.value.remedy
    shipped = experiment.stop(desk.project, "ranker_v2", because=WHY, ship="treatment")
    assert (
        "treatment ships: units get {variant: challenger} except the holdout (5 %)   config "
        "2   traffic owner stays" in str(shipped)
    )
    assert experiment.stop(desk.project, "ranker_v2", because=WHY, ship="treatment").already
    assigner = Assigner(desk.live, "ranker", {"blend": 0.5})
    aimed = [assigner.decide(f"visitor-{n}", {}).variant for n in range(400)]
    assert 5 < aimed.count("champion") < 40
    assert set(aimed) == {"champion", "challenger"}
    assert owner.read(desk.state, "ranker").owner.name == "ranker_v2.1"
    assert experiment.start(desk.project, "blend_up").ranges == ((0, 2999),)
    for refused in (
        lambda: experiment.start(desk.project, "ranker_v2"),
        lambda: experiment.ramp(desk.project, "ranker_v2", Decimal(30)),
        lambda: experiment.stop(desk.project, "ranker_v2", because=WHY, ship="control"),
    ):
        with pytest.raises(Refused, match="has shipped treatment"):
            refused()
    experiment.stop(desk.project, "ranker_v2", because="a mistake")
    assert owner.read(desk.state, "ranker").owner.owner == "none"


def test_while_a_run_owns_the_traffic_nobody_else_moves_it(desk):
    project = desk.project
    experiment.start(project, "ranker_v2")
    with pytest.raises(Refused, match=r"belongs to experiment ranker_v2\.1") as error:
        traffic(project, "ranker", {"challenger": Decimal(20)})
    assert error.value.remedy.startswith("isthmus experiment stop ranker_v2 --because")
    with pytest.raises(Refused, match=r"belongs to experiment ranker_v2\.1"):
        to_destroy(project)
    desk.world.models.aliases["ranker", "challenger"] = 1
    with pytest.raises(Refused, match="deploy would change challenger"):
        deploy(project, "ranker")


def test_destroy_is_refused_while_a_run_that_owns_nothing_is_live(desk):
    experiment.start(desk.project, "blend_up")
    assert owner.read(desk.state, "ranker") is None
    with pytest.raises(Refused, match=r"blend_up\.1 is running"):
        to_destroy(desk.project)


def test_a_run_over_variants_waits_for_who_has_the_traffic_and_leaves_nothing(desk):
    endpoint = desk.project.target.endpoints.observe("ranker")
    owner.take(
        desk.state,
        endpoint,
        kind="rollout",
        name="ro4",
        command="isthmus rollout abort ranker",
        now=desk.world.now(),
    )
    with pytest.raises(Refused, match="belongs to rollout ro4"):
        experiment.start(desk.project, "ranker_v2")
    assert (desk.live, runs.numbers(desk.state, "ranker_v2")) == (None, [])
    assert experiment.start(desk.project, "blend_up").run == "blend_up.1", "parameters own nothing"


def test_an_arm_that_does_not_answer_starts_nothing_and_its_number_is_used_by_the_next_try(desk):
    desk.monkeypatch.setattr(
        starting, "smoke_arm", lambda *_: SmokeResult(sent=20, answered=3, first_error="HTTP 500")
    )
    with pytest.raises(Unavailable, match="arm control does not answer: 3 of 20"):
        experiment.start(desk.project, "ranker_v2")
    assert (desk.live, owner.read(desk.state, "ranker")) == (None, None)
    desk.monkeypatch.setattr(starting, "smoke_arm", desk.smoke)
    assert experiment.start(desk.project, "ranker_v2").run == "ranker_v2.1"


@pytest.mark.parametrize(
    ("definition", "error", "says"),
    [
        (
            replace(AIMED, arms=arms(treatment={"variant": "third"})),
            NotFound,
            "runs no variant third; it runs champion, challenger",
        ),
        (replace(AIMED, share=Decimal("0.001")), Invalid, "no share of a layer"),
    ],
)
def test_what_cannot_start_is_refused_before_anything_is_written(desk, definition, error, says):
    declared(desk.project, definition)
    with pytest.raises(error, match=says):
        experiment.start(desk.project, "ranker_v2")
    assert desk.world.documents.values == {}


def test_what_a_target_cannot_aim_is_refused_with_its_key(desk):
    target = desk.project.target
    target.capabilities = {
        **target.capabilities,
        "invoke.variant": replace(target.capabilities["invoke.variant"], level="refused"),
    }
    with pytest.raises(
        ProjectError,
        match=r"experiments\.ranker_v2\..*treatment.*: local cannot aim one call at a variant",
    ):
        experiment.start(desk.project, "ranker_v2")
    assert experiment.start(desk.project, "blend_up").run == "blend_up.1"
    declared(desk.project, DUEL)
    with pytest.raises(
        ProjectError,
        match=r"experiments\.order_duel\.interleave: local cannot aim one call at a variant",
    ):
        experiment.start(desk.project, "order_duel")


def test_runs_of_two_layers_may_not_set_one_parameter_nor_a_layer_change_under_its_runs(desk):
    declared(desk.project, BLEND, replace(BLEND, name="other", layer="second"), home=2, second=0)
    experiment.start(desk.project, "blend_up")
    with pytest.raises(Refused, match=r"blend_up\.1 of layer home sets blend, too"):
        experiment.start(desk.project, "other")
    declared(desk.project, BLEND, replace(BLEND, name="third"), home=3)
    with pytest.raises(
        Refused,
        match=r"layers\.home has another endpoint, salt or holdout than when blend_up\.1 started",
    ):
        experiment.start(desk.project, "third")
    assert desk.live.layers["home"].holdout == 200


def test_a_document_that_would_be_too_large_is_refused_and_stays(desk):
    wide = Condition(attribute="country", among=tuple(f"region-{n:05}" for n in range(5000)))
    declared(desk.project, replace(BLEND, targeting=(wide,)))
    with pytest.raises(Invalid, match="more than the 65,536 that"):
        experiment.start(desk.project, "blend_up")
    assert desk.live is None


def test_a_document_that_has_no_room_left_is_told_before_the_traffic_is_taken(desk):
    wide = Condition(attribute="country", among=tuple(f"region-{n:05}" for n in range(2000)))
    others = [
        replace(BLEND, name=f"blend_{n}", share=Decimal(1), targeting=(wide,)) for n in range(2)
    ]
    declared(desk.project, *others, replace(AIMED, targeting=(wide,)))
    for other in others:
        experiment.start(desk.project, other.name)
    with pytest.raises(Invalid, match="more than the 65,536 that"):
        experiment.start(desk.project, "ranker_v2")
    assert owner.read(desk.state, "ranker") is None


def test_arms_that_would_be_answered_alike_are_refused_and_an_aa_test_is_not(monkeypatch, tmp_path):
    alike = replace(
        AIMED, name="aa", arms=arms(a={"variant": "champion"}, b={"variant": "champion"})[1:]
    )
    desk = Desk(monkeypatch, tmp_path, AIMED, alike, split=(10, 90))
    with pytest.raises(
        Refused,
        match="control and treatment would both be answered by challenger, which has the most "
        "traffic",
    ):
        experiment.start(desk.project, "ranker_v2")
    assert desk.live is None
    assert experiment.start(desk.project, "aa").run == "aa.1"


def test_the_list_has_runs_what_never_ran_and_what_the_file_forgot(desk):
    experiment.start(desk.project, "ranker_v2")
    declared(desk.project, BLEND)
    lines = {line.run: (line.state, line.share) for line in standing.listing(desk.project)}
    assert lines == {
        "blend_up": ("not started", None),
        "ranker_v2.1": ("running", Decimal(20)),
        "policy_test": ("analysis", None),
    }
    assert standing.status(desk.project, "ranker_v2").differs == ("it is gone",)


def test_a_damaged_document_is_told_by_status_and_stops_what_would_write_over_it(desk):
    experiment.start(desk.project, "ranker_v2")
    there = desk.state.get("experiments/live")
    desk.state.put("experiments/live", there.value[:-9], expect=there.token)
    assert "state experiments/live is damaged" in standing.live_lines(desk.project)[0]
    for verb in (
        lambda: experiment.start(desk.project, "blend_up"),
        lambda: experiment.ramp(desk.project, "ranker_v2", Decimal(30)),
    ):
        with pytest.raises(Invalid, match="is damaged"):
            verb()


def test_the_module_is_a_verb_of_the_package():
    assert isthmus.experiment.start is experiment.start
