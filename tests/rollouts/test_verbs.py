"""start, status, pause, resume, promote, abort, wait: what people may ask, on the example's project in the scripted world."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

import isthmus
from isthmus.cli.console import Console
from isthmus.endpoints.port import EndpointSpec, VariantSpec
from isthmus.endpoints.traffic import owner
from isthmus.errors import Busy, Invalid, NotFound, Refused, Unavailable
from isthmus.rollouts import controller, documents, rollout
from isthmus.rollouts.player import play
from isthmus.rollouts.rehearse import blind, rehearsed, setting
from isthmus.rollouts.scenario_file import read
from isthmus.rollouts.states import Wish
from isthmus.rollouts.world import Traits, World
from isthmus.rollouts.world.host import traits_of

from ..cli.running import at_terminal, too_wide
from ..cli.running import isthmus as command

EXAMPLE = Path(isthmus.__file__).parent / "examples" / "openbandit" / "project.yaml"
MINUTE = timedelta(minutes=1)
SPEC = EndpointSpec(
    name="ranker",
    variants=(VariantSpec(name="champion", model="ranker", version=1), VariantSpec(name="challenger", model="ranker", version=2)),
)
ALIKE = replace(SPEC, variants=(SPEC.variants[0], replace(SPEC.variants[1], version=1)))


class Desk:
    """A person at the console: the example's project on a laptop whose ports are a scripted world's."""

    def __init__(self, monkeypatch, folder, *, spec=SPEC, split=(90, 10), aliases=(1, 2)):
        self.project = isthmus.open(EXAMPLE, target="local")
        self.project.folder = folder  # of its lock: tests run beside each other
        target = self.project.target
        self.world = World(
            traits_of(target),
            spec,
            split=dict(zip(("champion", "challenger"), map(Decimal, split), strict=True)),
            aliases={("ranker", "champion"): aliases[0], ("ranker", "challenger"): aliases[1]},
        )
        ports = self.world.ports(target.calls)
        for name in ("state", "endpoints", "metrics", "registry", "blobs"):
            target.__dict__[name] = getattr(ports, name)
        target.clock = self.world.now
        monkeypatch.setattr(rollout, "ports_of", lambda _project: ports)
        monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=self.sleep))
        monkeypatch.setattr(rollout.time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.world.advance(timedelta(seconds=seconds))

    def drive(self, until, minutes=600):
        """Look as a controller does until the state is so."""
        end = self.world.now() + minutes * MINUTE
        while self.world.now() < end and not until(self.state):
            result = controller.look(rollout.ports_of(self.project), "ranker", holder="somebody", clock=self.world.now)
            if not result.again:
                self.sleep(10)
        assert until(self.state), self.state.phase
        return self.state

    @property
    def state(self):
        return documents.read(self.project.target.state, "ranker").state

    def serving(self):
        return {name: int(percent) for name, percent in self.world.fleet.shares().items()}


@pytest.fixture
def desk(monkeypatch, tmp_path):
    return Desk(monkeypatch, tmp_path)


def test_start_shows_the_whole_plan_and_moves_nothing_by_itself(desk):
    begun = rollout.start(desk.project, "ranker", because="r7 is better")
    assert "champion ranker@1 -> challenger ranker@2   10 % -> 25 % 15m -> 50 % 30m, then a person -> 100 % 30m" in str(begun)
    assert begun.id == "ro1"
    assert desk.serving() == {"champion": 90, "challenger": 10}
    assert [entry.what for entry in rollout.history(desk.project, "ranker")] == ["started"]


def test_a_second_start_is_refused_and_names_the_command_that_ends_the_first(desk):
    rollout.start(desk.project, "ranker")
    with pytest.raises(Refused, match="one rollout at a time") as refused:
        rollout.start(desk.project, "ranker")
    assert refused.value.remedy == "isthmus rollout abort ranker"


def test_start_is_refused_while_a_hand_moves_the_traffic(desk):
    state = desk.project.target.state
    owner.intend(state, "ranker", {"champion": Decimal(80), "challenger": Decimal(20)}, by="traffic", claim=None, now=desk.world.now())
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
def test_what_cannot_start_is_refused_before_anything_is_written(monkeypatch, tmp_path, change, error, says):
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


@pytest.mark.parametrize("verb", ["pause", "resume", "promote", "abort", "status", "history", "wait", "run"])
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
    assert any("the metrics are down" in entry.why for entry in rollout.history(desk.project, "ranker"))


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
        f"the traffic stays its own until {until}: it looks whether a late call changes what it left",
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


@pytest.fixture
def console(desk, monkeypatch):
    """`isthmus rollout ...` on the desk's project."""

    def opened(console):
        desk.project.target.calls.dry_run = console.dry_run
        return desk.project

    monkeypatch.setattr(Console, "open", opened)
    monkeypatch.setattr(type(desk.project), "__exit__", lambda *_: None)
    return partial(command, EXAMPLE.parent, "rollout")


def test_the_console_starts_shows_and_tells_by_its_exit_code_how_it_ended(desk, console):
    begun = console("start", "ranker", "--no-controller")
    assert "Nobody drives it yet: isthmus rollout tick" in begun.out
    desk.drive(lambda state: state.phase == "waiting")
    assert console("wait", "ranker", ok=False).code == 4
    assert console("status", "ranker", "--json").json["state"]["phase"] == "waiting"
    assert "aborted" in console("abort", "ranker", "--because", "no").out.lower()
    assert console("wait", "ranker", ok=False).code == 3
    assert "abort" in console("history", "ranker").out
    assert console("history", "ranker", "--json").json[0]["what"] == "started"


@pytest.mark.usefixtures("console")
def test_the_console_fits_a_terminal_of_80_columns(desk, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for words in (("start", "ranker", "--dry-run"), ("start", "ranker", "--no-controller")):
        assert too_wide(at_terminal(EXAMPLE.parent, "rollout", *words)[1]) == []
    desk.drive(lambda state: state.phase == "waiting")
    for words in (("status", "ranker"), ("history", "ranker"), ("tick",), ("abort", "ranker")):
        assert too_wide(at_terminal(EXAMPLE.parent, "rollout", *words)[1]) == []


def test_the_console_aborts_nothing_with_0_and_says_5_when_the_time_is_over_first(desk, console):
    assert "nothing to abort" in console("abort", "ranker").out
    rollout.start(desk.project, "ranker")
    desk.drive(lambda state: state.phase == "baking")
    desk.world.fleet.variants["champion"].phase = "updating"  # it cannot take its traffic back yet
    assert console("abort", "ranker", "--timeout", "1s", ok=False).code == 5


def test_the_log_of_a_driver_tells_each_phase_and_each_problem_once(desk, console):
    prepare(desk, "run")
    told = console("run", "ranker").err.splitlines()
    assert any("aborting" in line for line in told)
    assert len(told) == len(set(told))


def test_a_driver_that_cannot_read_the_rollout_says_so_and_ends_when_its_time_is_over(desk, monkeypatch):
    rollout.start(desk.project, "ranker")
    problems, read = [], documents.read
    looks = iter([True])  # the first reading is the verb's own

    def unreadable(*arguments):
        if next(looks, False):
            return read(*arguments)
        raise Unavailable("no answer from the store")

    monkeypatch.setattr(documents, "read", unreadable)
    with pytest.raises(Unavailable):
        rollout._drive(desk.project, "ranker", lambda _state: False, timedelta(0), watch=lambda result: problems.extend(result.problems))
    assert problems == ["no answer from the store"]


def test_a_dry_run_shows_the_plan_and_writes_nothing(desk, console):
    assert "10 % -> 25 %" in console("start", "ranker", "--dry-run").out
    assert documents.read(desk.project.target.state, "ranker") is None


SCENARIO = ("--scenario", "scenarios/errors.yaml")
COMMANDS = {
    "start": ("start", "ranker", "--no-controller"),
    "status": ("status", "ranker"),
    "pause": ("pause", "ranker"),
    "resume": ("resume", "ranker"),
    "promote": ("promote", "ranker"),
    "abort": ("abort", "ranker"),
    "history": ("history", "ranker"),
    "rehearse": ("rehearse", "ranker", *SCENARIO),
    "run": ("run", "ranker"),
    "tick": ("tick",),
}


def prepare(desk, name):
    """A rollout of which a command can be asked."""
    if name != "start":
        rollout.start(desk.project, "ranker")
    if name in ("promote", "run"):
        desk.drive(lambda state: state.phase == "waiting")
    if name == "resume":
        rollout.pause(desk.project, "ranker")
    if name == "run":  # which goes on until nothing is left to do
        rollout.wishes.ask(desk.project.target.state, "ranker", "abort", who="ann", at=desk.world.now())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_its_result_as_json(desk, console, name):
    prepare(desk, name)
    assert console(*COMMANDS[name], "--json").json


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("status", "history", "rehearse")])
def test_a_dry_run_changes_nothing(desk, console, name):
    prepare(desk, name)
    before = {key: desk.project.target.state.get(key).value for key in desk.project.target.state.keys("")}
    serving = desk.serving()
    console(*COMMANDS[name], "--dry-run")
    assert {key: desk.project.target.state.get(key).value for key in desk.project.target.state.keys("")} == before
    assert desk.serving() == serving


def test_a_wish_survives_a_look_that_was_faster(desk):
    rollout.start(desk.project, "ranker")
    store, tries = desk.project.target.state, []

    def check(_state):
        if not tries:
            tries.append(True)
            controller.look(rollout.ports_of(desk.project), "ranker", holder="faster", clock=desk.world.now)

    rollout.wishes.ask(store, "ranker", "pause", who="ann", at=desk.world.now(), check=check)
    assert desk.state.wish.pause == Wish(who="ann", at=desk.world.now())
    assert desk.state.lease.holder == "faster"


@pytest.mark.parametrize("traits", [Traits(name="local"), Traits(name="sagemaker", fenced=False, metrics_delay=3 * MINUTE, takes=MINUTE)])
def test_what_only_watches_does_not_hold_the_hand_over(desk, traits):
    scenario = read(EXAMPLE.parent / "scenarios" / "errors.yaml", desk.project.spec.rollouts)
    plan = rehearsed(blind(desk.project.spec.rollouts["ranker"]), desk.project.spec.endpoints["ranker"], traits)
    assert play(scenario, plan, "ranker", setting(scenario, plan, traits)).end == "promoted"
