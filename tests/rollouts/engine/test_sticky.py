"""A sticky endpoint through the one endpoint host that everybody knows: its split is a document,
and gateways serve it after 15 s.
"""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from isthmus.endpoints.gateway.decide import sticky_split as sticky
from isthmus.endpoints.port import VariantSpec
from isthmus.errors import Busy, Conflict, Invalid, Unsupported

from ..scene import FAILING, LOCAL, MINUTE, SPEC, STICKY, Scene, split

SPARE = VariantSpec(name="spare", model="ranker", version=2, instances=(1, 1))


def endpoint(traits=STICKY):
    world = Scene(traits, initial=split(10)).world
    return world, world.ports().endpoints


def percents(state):
    return {v.name: v.percent for v in state.variants}, {
        v.name: v.target_percent for v in state.variants
    }


def test_what_is_written_is_asked_at_once_and_serves_after_15_s():
    world, host = endpoint()
    before = host.observe("ranker")
    assert percents(before) == (split(10), split(10))
    host.shift("ranker", split(25), expect=before.token)
    assert percents(host.observe("ranker")) == (split(10), split(25))
    world.advance(timedelta(seconds=14))
    assert percents(host.observe("ranker")) == (split(10), split(25))
    world.advance(timedelta(seconds=1))
    assert percents(host.observe("ranker")) == (split(25), split(25))
    assert world.fleet.shares() == split(0), (
        "calls that no gateway aims go to the first variant, as ever"
    )


def test_a_document_is_the_first_when_the_split_is_moved_for_the_first_time():
    world, host = endpoint()
    del world.documents.values["split/ranker"]
    state = host.observe("ranker")
    assert percents(state) == (split(0), split(0))
    host.shift("ranker", split(10), expect=state.token)
    document = msgspec.json.decode(world.documents.values["split/ranker"].value, type=sticky.Split)
    assert (document.version, document.ranges, document.before) == (
        1,
        {"champion": ((0, 8999),), "challenger": ((9000, 9999),)},
        split(0),
    )


def test_a_shift_also_to_the_split_that_is_there_makes_older_tokens_stale():
    world, host = endpoint()
    stale = host.observe("ranker").token
    host.shift("ranker", split(10), expect=stale)
    for wanted in (split(10), split(90)):
        with pytest.raises(Conflict):
            host.shift("ranker", wanted, expect=stale)
    token = host.observe("ranker").token
    world.fleet.begin(lambda: None, takes=timedelta(0))  # somebody changes the endpoint itself
    with pytest.raises(Conflict):
        host.shift("ranker", split(90), expect=token)
    assert percents(host.observe("ranker"))[1] == split(10)


def test_two_who_shift_at_once_are_told_apart_by_the_store():
    world, host = endpoint()
    other, calls = world.ports().endpoints, []
    token = host.observe("ranker").token

    class Slow:
        """Reads, then somebody else writes, then writes."""

        def __init__(self, state):
            self.get = state.get

            def put(key, value, *, expect):
                other.shift("ranker", split(50), expect=token)
                calls.append(key)
                return state.put(key, value, expect=expect)

            self.put = put

    host._state = Slow(host._state)
    with pytest.raises(Conflict):
        host.shift("ranker", split(25), expect=token)
    assert (calls, percents(other.observe("ranker"))[1]) == (["split/ranker"], split(50))


def test_what_cannot_be_is_refused_and_changes_nothing():
    world, host = endpoint()
    state = host.observe("ranker")
    before = dict(world.documents.values)
    for wrong, error in (
        (split("0.005"), Unsupported),
        ({"champion": Decimal(100), "x": Decimal(0)}, Invalid),
        (split(101), Invalid),
    ):
        with pytest.raises(error):
            host.shift("ranker", wrong, expect=state.token)
    world.fleet.variants["challenger"].phase = "updating"
    with pytest.raises(Busy, match="challenger is not ready"):
        host.shift("ranker", split(25), expect=state.token)
    assert world.documents.values == before
    host.shift("ranker", split(0), expect=state.token)  # it can always lose what it has


def test_a_variant_that_the_split_names_is_neither_removed_nor_changed():
    world, host = endpoint(LOCAL)
    spec = replace(SPEC, routing="sticky")
    with pytest.raises(Conflict, match="runs with routing: weighted, and keeps it"):
        host.apply(spec)
    world, host = endpoint()
    champion, challenger = spec.variants
    for wanted in ((champion,), (champion, replace(challenger, version=1))):
        with pytest.raises(Conflict, match="challenger has 10 % of the traffic"):
            host.apply(replace(spec, variants=wanted))
    with pytest.raises(Conflict, match="runs with routing: sticky, and keeps it"):
        host.apply(SPEC)
    host.shift("ranker", split(0), expect=host.observe("ranker").token)
    with pytest.raises(Conflict, match="challenger has 10 % of the traffic"):
        host.apply(replace(spec, variants=(champion,)))  # a gateway may still have the older copy
    world.advance(MINUTE)
    host.apply(replace(spec, variants=(champion, SPARE)))
    world.advance(2 * MINUTE)
    assert percents(host.observe("ranker"))[0] == {"champion": Decimal(100), "spare": Decimal(0)}


def test_a_rollout_moves_units_step_by_step_and_brings_the_role_home():
    scene = Scene(STICKY, remove_old=2 * MINUTE)
    scene.until("ended")
    assert (scene.state.end, scene.state.handover, scene.serving, scene.aliases["champion"]) == (
        "promoted",
        "done",
        {"champion": 100},
        2,
    )
    assert "late" not in scene.words()


def test_a_rollout_that_fails_gives_every_unit_back():
    scene = Scene(STICKY)
    scene.until("baking", 2)
    scene.world.behave("challenger", FAILING)
    scene.until("ended")
    assert (scene.state.end, scene.state.stage, scene.serving) == ("aborted", 2, split(0))
