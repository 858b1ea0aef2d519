"""`close`: what has shipped is true below the gateway before the run leaves it; killed anywhere,
again goes on. In the scripted world.
"""

import os
from decimal import Decimal
from functools import partial

import pytest
from msgspec.structs import replace

from isthmus.endpoints.gateway.decide.assignment import Assigner
from isthmus.endpoints.traffic import manual as traffic_room
from isthmus.endpoints.traffic import owner
from isthmus.endpoints.traffic.manual import traffic
from isthmus.errors import NotFound, Refused
from isthmus.experiments import experiment
from isthmus.project.specs.rules import Condition
from isthmus.rollouts import controller
from isthmus.rollouts.state import documents
from isthmus.rollouts.verbs import hand_over, rollout
from isthmus.rollouts.world import World
from isthmus.storage import wait

from ...rollouts.scene import LOCAL, SAGEMAKER, STICKY, TARGETS
from ..desk import AIMED, ALIASES, BLEND, DUEL, SPEC, Desk, declared

WHY = "ctr +6.1 % at the last look"
EVERY = bool(os.environ.get("ISTHMUS_EVERY_CRASH"))
STEPS = [
    (traits, 1 if EVERY else step) for traits, step in ((LOCAL, 3), (SAGEMAKER, 9), (STICKY, 18))
]  # killed at one of so many calls


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Closing(Desk):
    """A desk at which rollouts are driven, on the world's clock."""

    def __init__(self, monkeypatch, folder, *experiments, **options):
        super().__init__(monkeypatch, folder, *experiments, **options)
        monkeypatch.setattr(rollout, "ports_of", lambda _project: self.ports)
        monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=self.sleep))
        monkeypatch.setattr(rollout.time, "sleep", self.sleep)
        monkeypatch.setattr(traffic_room, "wait", partial(wait, sleep=self.sleep))
        monkeypatch.setattr(hand_over, "traits_of", lambda *_: self.world.traits)
        ranker = replace(self.project.spec.endpoints["ranker"], routing=self.world.fleet.routing)
        self.project.spec = replace(self.project.spec, endpoints={"ranker": ranker})

    def sleep(self, seconds):
        self.wait(seconds=seconds)

    def ship(self, name="ranker_v2", arm="treatment"):
        experiment.start(self.project, name)
        experiment.stop(self.project, name, because=WHY, ship=arm)

    def versions(self, unit, live):
        """Which versions a unit may be answered by, under a gateway's copy of the document."""
        running = self.world.fleet.variants
        aimed = Assigner(live, "ranker", {"blend": 0.5}).decide(unit, {}).variant
        if aimed in running:
            return {running[aimed].spec.version}
        return {
            running[name].spec.version for name, percent in self.world.shares().items() if percent
        }

    def aliases(self):
        return {alias: version for (_, alias), version in self.world.models.aliases.items()}

    def serving(self):
        return {
            name: (self.world.fleet.variants[name].spec.version, int(percent))
            for name, percent in self.world.shares().items()
        }


@pytest.fixture
def desk(monkeypatch, tmp_path):
    return Closing(monkeypatch, tmp_path, AIMED, BLEND)


HOME = {"champion": (2, 100)}


def world(traits):
    spec = replace(SPEC, routing="sticky") if traits is STICKY else SPEC
    return World(
        traits,
        spec,
        split={"champion": Decimal(90), "challenger": Decimal(10)},
        aliases=dict(ALIASES),
    )


@pytest.mark.parametrize("traits", [*TARGETS, STICKY], ids=lambda traits: traits.name)
def test_a_close_makes_what_has_shipped_the_endpoint_s_own_and_gives_the_traffic_back_last(
    monkeypatch, tmp_path, traits
):
    desk = Closing(monkeypatch, tmp_path, AIMED, world=world(traits))
    desk.ship()
    closed = experiment.close(desk.project, "ranker_v2")
    assert (desk.serving(), desk.aliases(), desk.live.runs) == (HOME, {"champion": 2}, ())
    assert owner.read(desk.state, "ranker").owner.owner == "none"
    assert closed.steps == (
        "challenger has 100 % of ranker, read back",
        "ranker@2 is champion",
        "gateways take it within 5 s (config 3); the holdout (5 %) ends with it",
        "champion has it by ro1; challenger is gone. The traffic of ranker is free",
    )
    assert (closed.home, closed.rollout) == (True, "ro1")
    assert "nothing is left to do" in str(experiment.close(desk.project, "ranker_v2"))
    assert [change.what for change in experiment.history(desk.project)] == [
        "started",
        "shipped",
        "closed",
    ]
    assert (
        rollout.history(desk.project, "ranker")[0].why
        == "challenger hands over to champion: ranker_v2.1 ships treatment"
    )
    traffic(desk.project, "ranker", {"champion": Decimal(100)})


def test_of_two_that_were_interleaved_the_one_that_ships_comes_home(monkeypatch, tmp_path):
    desk = Closing(monkeypatch, tmp_path, DUEL, world=world(LOCAL))
    desk.ship("order_duel", "challenger")
    assert [variant for variant, _ in desk.tried] == ["champion", "challenger"]
    closed = experiment.close(desk.project, "order_duel")
    assert (desk.serving(), desk.aliases(), desk.live.runs) == (HOME, {"champion": 2}, ())
    assert (closed.ships, closed.home) == ("challenger", True)


def test_what_has_not_shipped_is_not_closed(desk):
    with pytest.raises(NotFound, match="never ran"):
        experiment.close(desk.project, "ranker_v2")
    experiment.start(desk.project, "ranker_v2")
    with pytest.raises(Refused, match=r"ranker_v2\.1 is running: nothing has shipped"):
        experiment.close(desk.project, "ranker_v2")
    experiment.stop(desk.project, "ranker_v2", because=WHY)
    with pytest.raises(Refused, match=r"ranker_v2\.1 was stopped: nothing has shipped"):
        experiment.close(desk.project, "ranker_v2")
    assert desk.serving() == {"champion": (1, 90), "challenger": (2, 10)}


def test_a_control_that_ships_gets_all_of_the_traffic_and_nothing_else_moves(desk):
    desk.ship(arm="control")
    closed = experiment.close(desk.project, "ranker_v2")
    assert desk.serving() == {"champion": (1, 100), "challenger": (2, 0)}
    assert (desk.aliases(), closed.rollout) == ({"champion": 1, "challenger": 2}, None)
    assert owner.read(desk.state, "ranker").owner.owner == "none"


def test_a_control_that_is_named_by_a_number_is_told_and_stays(desk):
    endpoint = desk.project.spec.endpoints["ranker"]
    variants = (replace(endpoint.variants[0], ref="1"), endpoint.variants[1])
    desk.project.spec = replace(
        desk.project.spec, endpoints={"ranker": replace(endpoint, variants=variants)}
    )
    desk.ship()
    closed = experiment.close(desk.project, "ranker_v2")
    assert closed.steps[-1].startswith(
        "challenger serves all of ranker: write ranker@2 as champion in project.yaml"
    )
    assert desk.serving() == {"champion": (1, 0), "challenger": (2, 100)}
    assert owner.read(desk.state, "ranker").owner.owner == "none"


def test_parameters_come_home_by_the_file_and_the_refusal_has_its_lines(desk):
    desk.ship("blend_up", "high")
    with pytest.raises(
        Refused, match=r"blend_up\.1 has shipped \{blend: 0\.7\}, and project\.yaml says otherwise"
    ) as error:
        experiment.close(desk.project, "blend_up")
    assert (
        error.value.remedy.splitlines()[-1] == "  endpoints.ranker.parameters.blend: {default: 0.7}"
    )
    assert desk.run("blend_up").state == "shipped"
    endpoint = desk.project.spec.endpoints["ranker"]
    changed = replace(
        endpoint, parameters={"blend": replace(endpoint.parameters["blend"], default=0.7)}
    )
    desk.project.spec = replace(desk.project.spec, endpoints={"ranker": changed})
    experiment.close(desk.project, "blend_up")
    assert (desk.live.runs, desk.serving()) == ((), {"champion": (1, 90), "challenger": (2, 10)})
    assert "nothing is left to do" in str(experiment.close(desk.project, "blend_up"))


def test_what_ships_to_some_is_everybody_s_only_if_that_is_said(desk):
    declared(
        desk.project, replace(AIMED, targeting=(Condition(attribute="country", among=("JP",)),))
    )
    desk.ship()
    with pytest.raises(Refused, match=r"to the units that its targeting names \(country\)"):
        experiment.close(desk.project, "ranker_v2")
    experiment.close(desk.project, "ranker_v2", everybody=True)
    assert desk.serving() == HOME


def test_a_hand_over_that_fails_leaves_what_serves_and_is_told(desk):
    desk.ship()
    desk.world.fleet.never_ready.add("champion")
    closed = experiment.close(desk.project, "ranker_v2")
    assert not closed.home
    assert "ended before the roles were home" in closed.steps[-1]
    assert desk.serving()["challenger"] == (2, 100)
    assert owner.read(desk.state, "ranker").owner.owner == "none"


def test_the_next_run_waits_until_the_roles_are_home(desk):
    desk.ship()
    cut(desk, "endpoints.apply")
    with pytest.raises(Killed):
        experiment.close(desk.project, "ranker_v2")
    with pytest.raises(Refused, match=r"belongs to rollout ro1|is not closed yet"):
        experiment.start(desk.project, "ranker_v2")
    desk.calls.before = None
    desk.wait(minutes=2)
    experiment.close(desk.project, "ranker_v2")
    assert desk.serving() == HOME


def test_a_stop_takes_no_traffic_from_a_run_that_is_on_its_way_home(desk):
    """Killed between the document and the hand-over."""
    desk.ship()

    def killed(_call):
        if not desk.live.runs:
            raise Killed

    desk.calls.before = killed
    with pytest.raises(Killed):
        experiment.close(desk.project, "ranker_v2")
    desk.calls.before = None
    with pytest.raises(Refused, match=r"ranker_v2\.1 is not closed yet"):
        experiment.stop(desk.project, "ranker_v2", because=WHY)
    spec = desk.project.spec
    desk.project.spec = replace(spec, endpoints={})
    with pytest.raises(NotFound, match="no endpoint ranker any more"):
        experiment.close(desk.project, "ranker_v2")
    desk.project.spec = spec
    desk.wait(minutes=2)
    experiment.close(desk.project, "ranker_v2")
    assert desk.serving() == HOME


def cut(desk, operation):
    def before(call):
        if call.operation == operation:
            raise Killed

    desk.calls.before = before


def changes(desk):
    return sum(call.mutating for call in desk.calls.calls)


@pytest.mark.parametrize(("traits", "every"), STEPS, ids=lambda part: getattr(part, "name", ""))
def test_killed_at_any_call_a_close_goes_on_and_no_unit_ever_sees_the_old_model_again(
    monkeypatch, tmp_path, traits, every
):
    """The holdout alone keeps the control, until the run has left; also under a copy of the
    document that a gateway has kept.
    """
    whole = shipped(monkeypatch, tmp_path / "whole", traits)
    first = changes(whole)
    experiment.close(whole.project, "ranker_v2")
    points = changes(whole) - first
    expected = (
        whole.serving(),
        whole.aliases(),
        [(c.version, c.what) for c in experiment.history(whole.project)],
    )
    assert points > 12
    for point, when in [
        *((point, "before") for point in range(0, points, every)),
        (None, "after"),
    ]:  # None: once the traffic is free
        desk = shipped(monkeypatch, tmp_path / f"{point}-{when}", traits)
        old_copy, seen = desk.live, iter(range(10_000))
        units = [f"visitor-{n}" for n in range(12)]
        treated = [unit for unit in units if desk.versions(unit, old_copy) == {2}]
        assert len(treated) > 6

        def judged(_call, desk=desk, old_copy=old_copy, treated=treated):
            for unit in treated:
                assert desk.versions(unit, desk.live) == {2}
                assert desk.versions(unit, old_copy) == {2}

        def killed(call, desk=desk, point=point, seen=seen, judged=judged):
            judged(call)
            if next(seen) == point or (
                point is None and owner.read(desk.state, "ranker").owner.owner == "none"
            ):
                raise Killed

        desk.calls.before, desk.calls.after = judged, judged
        setattr(desk.calls, when, killed)
        with pytest.raises(Killed):
            experiment.close(desk.project, "ranker_v2")
        setattr(desk.calls, when, judged)
        claim = owner.read(desk.state, "ranker").owner
        assert claim.owner in ("experiment", "rollout") or desk.serving() == HOME
        desk.wait(minutes=2)
        experiment.close(desk.project, "ranker_v2")
        assert (
            desk.serving(),
            desk.aliases(),
            [(c.version, c.what) for c in experiment.history(desk.project)],
        ) == expected
        assert owner.read(desk.state, "ranker").owner.owner == "none"
        assert documents.read(desk.state, "ranker").state.released


def shipped(monkeypatch, folder, traits):
    desk = Closing(monkeypatch, folder, AIMED, world=world(traits))
    desk.ship()
    return desk
