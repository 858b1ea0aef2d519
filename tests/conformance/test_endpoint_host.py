"""EndpointHost: `apply` owns the variants, `shift` the traffic."""

from contextlib import suppress
from decimal import Decimal
from functools import partial
from itertools import islice

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.endpoints.port import VariantSpec
from isthmus.endpoints.revision import revision_of
from isthmus.endpoints.traffic.convergence import has_converged, variants_ready
from isthmus.errors import Busy, Conflict, Invalid, ModelError, NotFound, Unsupported
from isthmus.tests.conformance import opaque
from isthmus.tests.conformance.toy_models import (
    endpoint,
    register,
    register_from_a_file,
    remove_endpoints,
    settled,
    until,
    variant,
)

pytestmark = [pytest.mark.ports("endpoints", "registry", "blobs", "inventory"), pytest.mark.slow]


@pytest.fixture
def host(target):
    yield target.endpoints
    remove_endpoints(target)


@pytest.fixture
def one(target, tmp_path):
    return register(target, tmp_path, 1.0)


@pytest.fixture
def two(target, tmp_path):
    return register(target, tmp_path, 2.0)


@pytest.fixture
def ready(target, host, one, two):
    """champion (answers 1) 100 %, challenger (answers 2) 0 %."""
    spec = endpoint(variant(one, "champion"), variant(two, "challenger"))
    host.apply(spec)
    state = settled(target)
    assert state.phase == "ready", state.failure
    return spec, state


def split(**percents):
    return {name: Decimal(str(percent)) for name, percent in percents.items()}


def percents(state):
    return {v.name: v.percent for v in state.variants}


def test_an_endpoint_that_is_not_there_is_none(host):
    """None means absent, whatever is asked first."""
    assert host.observe("nowhere") is None
    with pytest.raises(NotFound):
        host.invoke("nowhere", [{"x": 1}], variant=None, request_id="q-1")
    with pytest.raises(NotFound):
        host.shift("nowhere", split(champion=100), expect="t")


def test_a_new_endpoint_gives_its_first_variant_everything(ready, target, host):
    spec, state = ready
    assert state.revision == revision_of(spec)
    assert percents(state) == split(champion=100, challenger=0)
    assert has_converged(spec, split(champion=100, challenger=0), state)
    assert [r.name for r in target.inventory.list("conf") if r.kind == "endpoint"] == ["ranker"]
    assert host.apply(spec) == state, "a second apply sees the same and changes nothing"
    assert host.observe("ranker") == state


def test_apply_never_moves_traffic_and_a_variant_with_traffic_cannot_be_taken(
    ready, target, host, one, two, tmp_path
):
    spec, state = ready
    host.shift("ranker", split(champion=60, challenger=40), expect=state.token)
    three = register(target, tmp_path, 3.0)
    for wanted in (
        endpoint(variant(one, "champion")),
        endpoint(variant(one, "champion"), variant(three, "challenger")),
        endpoint(variant(one, "champion", attempt=1), variant(two, "challenger")),
    ):
        with pytest.raises(Conflict):
            host.apply(wanted)
    wider = endpoint(*spec.variants, variant(three, "third"))
    until(lambda: _is_brought(host, wider))
    state = host.observe("ranker")
    assert percents(state) == split(champion=60, challenger=40, third=0)
    host.shift("ranker", split(champion=100, challenger=0, third=0), expect=state.token)
    smaller = endpoint(variant(one, "champion"), variant(three, "challenger"))
    until(lambda: _is_brought(host, smaller))
    assert {v.name: v.version for v in host.observe("ranker").variants} == {
        "champion": one.version,
        "challenger": three.version,
    }


@pytest.mark.parametrize(
    ("trainer", "library"), [("isthmus.logistic", "sklearn"), ("isthmus.boosting", "lightgbm")]
)
def test_a_model_from_a_file_is_served_with_its_transforms(
    trainer, library, target, host, tmp_path
):
    """What the model server answers is what the predictor says here, also for null and for words
    that training has not seen.
    """
    pytest.importorskip(library)
    version, loaded = register_from_a_file(target, tmp_path, trainer)
    host.apply(endpoint(variant(version, "champion")))
    state = settled(target)
    assert state.phase == "ready", state.failure
    rows = [
        {"shown": 3, "kind": "a"},
        {"shown": 15.0, "kind": "b"},
        {"shown": None, "kind": None},
        {"shown": 10**6, "kind": "never seen"},
    ]
    reply = host.invoke("ranker", rows, variant=None, request_id="q-1")
    assert reply.predictions == pytest.approx(loaded.predict(rows), rel=1e-12)
    assert len(set(reply.predictions)) == len(rows)
    with pytest.raises((Invalid, ModelError), match="shown"):
        host.invoke("ranker", [{"shown": "many", "kind": "a"}], variant=None, request_id="q-2")


@pytest.mark.needs("invoke.variant")
def test_a_call_can_be_aimed_at_a_variant_even_at_no_traffic(ready, host):
    reply = host.invoke("ranker", [{"x": 1}, {"x": 10}], variant="challenger", request_id="q-1")
    assert reply.predictions == (3.0, 12.0)
    assert reply.variant == "challenger"
    assert reply.version in (None, ready[0].variants[1].version)
    with pytest.raises(NotFound):
        host.invoke("ranker", [{"x": 1}], variant="nobody", request_id="q-2")


@pytest.mark.needs("routing.sticky")
def test_a_sticky_endpoint_answers_the_variant_that_is_named_and_leaves_the_split_to_the_gateway(
    target, host, one, two, tmp_path
):
    spec = endpoint(variant(one, "champion"), variant(two, "challenger"), routing="sticky")
    host.apply(spec)
    state = settled(target)
    assert (state.phase, state.routing, state.revision) == ("ready", "sticky", revision_of(spec)), (
        state.failure
    )
    with pytest.raises(Unsupported) as refusal:
        host.shift("ranker", split(champion=50, challenger=50), expect=state.token)
    assert refusal.value.capability == "routing.sticky"
    assert host.observe("ranker") == state
    assert [_answers(host, name) for name in ("champion", "challenger", None)] == [
        "champion",
        "challenger",
        "champion",
    ]
    with pytest.raises(Conflict):
        host.apply(endpoint(*spec.variants))
    third = endpoint(
        variant(register(target, tmp_path, 3.0), "third"),
        variant(two, "challenger"),
        routing="sticky",
    )
    until(lambda: _is_brought(host, third))
    assert [_answers(host, name) for name in ("challenger", None)] == ["challenger", "third"], (
        "what no gateway aims goes to the first one"
    )


@pytest.mark.needs("routing.sticky")
def test_a_change_of_a_sticky_endpoint_that_is_cut_before_and_after_each_of_its_calls_is_completed_by_the_next(
    target, host, one, two, tmp_path
):
    champion, challenger, third = (
        variant(one, "champion"),
        variant(two, "challenger"),
        variant(register(target, tmp_path, 3.0), "third"),
    )
    replaced = variant(register(target, tmp_path, 4.0), "challenger")
    cuts = _CutsEverywhere(target.calls)
    for variants in ((champion, challenger), (champion, replaced, third), (champion,)):
        spec = endpoint(*variants, routing="sticky")
        until(lambda spec=spec: _is_brought(host, spec))
        assert [
            (_answers(host, v.name), host.observe("ranker").variants[n].version)
            for n, v in enumerate(variants)
        ] == [(v.name, v.version) for v in variants]
        assert [r.name for r in target.inventory.list("conf") if r.kind == "endpoint"] == ["ranker"]
    target.calls.before = target.calls.after = None
    assert cuts.done["before"] == cuts.done["after"] != set()
    with pytest.raises(NotFound):
        host.invoke("ranker", [{"x": 1}], variant="third", request_id="q")


class _Killed(BaseException):
    """Nobody catches it."""


class _CutsEverywhere:
    """The first time that a call is reached, and the first time that it has happened."""

    def __init__(self, log):
        self.done = {"before": set(), "after": set()}
        log.before, log.after = partial(self._cut, "before"), partial(self._cut, "after")

    def _cut(self, moment, call):
        if call.operation not in self.done[moment]:
            self.done[moment].add(call.operation)
            raise _Killed


def _is_brought(host, spec):
    """One call may leave the rest to the next one, as where a cloud is slow or at work."""
    with suppress(_Killed, Busy):
        host.apply(spec)
    return variants_ready(spec, host.observe("ranker"))


def _answers(host, variant):
    """Who answers, each of twenty times."""
    (name,) = {
        host.invoke("ranker", [{"x": 0}], variant=variant, request_id=f"q-{n}").variant
        for n in range(20)
    }
    return name


def test_a_call_goes_where_the_traffic_is(ready, host):
    spec, state = ready
    assert {
        host.invoke("ranker", [{"x": 0}], variant=None, request_id=f"q-{n}").variant
        for n in range(20)
    } == {"champion"}
    host.shift("ranker", split(champion=0, challenger=100), expect=state.token)
    state = until(
        lambda: (
            (s := host.observe("ranker"))
            and has_converged(spec, split(champion=0, challenger=100), s)
            and s
        )
    )
    assert {
        host.invoke("ranker", [{"x": 0}], variant=None, request_id=f"q-{n}").variant
        for n in range(20)
    } == {"challenger"}


@pytest.mark.needs("traffic.fenced")
def test_a_stale_token_moves_nothing(ready, host):
    spec, state = ready
    host.shift("ranker", split(champion=90, challenger=10), expect=state.token)
    with pytest.raises(Conflict):
        host.shift("ranker", split(champion=0, challenger=100), expect=state.token)
    assert has_converged(spec, split(champion=90, challenger=10), host.observe("ranker"))


def test_two_looks_without_a_change_have_equal_tokens_though_every_opaque_value_of_the_provider_differs(
    ready, target, host
):
    """Etags, times and process ids are another one at each look, or by what is nobody's change: who
    compares them never gets to act.
    """
    _, state = ready
    before = opaque.values(target)
    opaque.stir(target)
    after = opaque.values(target)
    assert before.keys() == after.keys()
    assert not before.items() & after.items()
    assert settled(target) == state
    host.shift("ranker", split(champion=90, challenger=10), expect=state.token)


@pytest.mark.needs("traffic.fenced")
def test_a_change_by_somebody_else_between_look_and_shift_is_refused_or_where_nothing_is_fenced_kept(
    ready, target, host, tmp_path
):
    """Of the split, of the variants, of their instances.

    Where instances may also change by themselves, a shift leaves them alone.
    """
    spec, _ = ready
    wider = endpoint(*spec.variants, variant(register(target, tmp_path, 3.0), "third"))
    larger = endpoint(*(msgspec.structs.replace(v, instances=(2, 2)) for v in wider.variants))
    other = targets.load(target.profile)
    _refused(
        target,
        lambda: other.endpoints.shift(
            "ranker", split(champion=60, challenger=40), expect=settled(other).token
        ),
    )
    _refused(target, lambda: until(lambda: _is_brought(other.endpoints, wider)))
    if target.capabilities["traffic.fenced"].level == "native":
        _refused(target, lambda: until(lambda: _counts_once_ready(other.endpoints, larger)))
    else:
        seen, wanted = settled(target), split(champion=20, challenger=80, third=0)
        until(lambda: _counts_once_ready(other.endpoints, larger))
        host.shift("ranker", wanted, expect=seen.token)
        moved = until(
            lambda: (s := host.observe("ranker")) and has_converged(wider, wanted, s) and s
        )
        assert [v.instances for v in moved.variants] == [2, 2, 2]
    other.close()


def _refused(target, change):
    """Conflict for who looked before a change; Invalid also where the variants that it knew are not
    those that there are.
    """
    seen = settled(target)
    change()
    changed = settled(target)
    with pytest.raises(
        Conflict if len(seen.variants) == len(changed.variants) else (Conflict, Invalid)
    ):
        target.endpoints.shift(
            "ranker", {**percents(seen), **split(champion=20, challenger=80)}, expect=seen.token
        )
    assert settled(target) == changed


@pytest.mark.needs("traffic.touch")
def test_a_shift_to_the_split_that_is_there_is_accepted_and_where_it_fences_makes_older_tokens_stale(
    ready, target, host
):
    spec, state = ready
    host.shift("ranker", percents(state), expect=state.token)
    seen = until(
        lambda: (s := host.observe("ranker")) and has_converged(spec, percents(state), s) and s
    )
    if target.capabilities["traffic.touch"].level == "native":
        assert seen.token != state.token
        with pytest.raises(Conflict):
            host.shift("ranker", split(champion=0, challenger=100), expect=state.token)
    assert percents(host.observe("ranker")) == percents(state)


@pytest.mark.needs("capacity.instances")
def test_a_variant_has_as_many_instances_as_its_spec_says_and_keeps_its_traffic(
    ready, host, one, two
):
    spec, state = ready
    assert [(v.instances, v.target_instances) for v in state.variants] == [(1, 1), (1, 1)], (
        "none said: the profile's, which has no count here"
    )
    host.shift("ranker", split(champion=75, challenger=25), expect=state.token)
    for wanted, instances in ((3, (3, 3)), (2, (1, 2)), (2, (2, 2)), (1, (1, 1))):
        sized = endpoint(variant(one, "champion"), variant(two, "challenger", instances=instances))
        counts = until(partial(_counts_once_ready, host, sized), what=f"{instances}")
        assert counts == {"champion": (1, 1), "challenger": (wanted, wanted)}, (
            f"(fewest, most) are {instances}"
        )
        assert has_converged(spec, split(champion=75, challenger=25), host.observe("ranker")), (
            "what runs and the traffic are as before"
        )
        replies = (
            host.invoke("ranker", [{"x": 0}], variant=None, request_id=f"q-{n}")
            for n in range(200 * wanted)
        )
        answers = (reply.predictions for reply in replies if reply.variant == "challenger")
        assert set(islice(answers, 2 * wanted)) == {(2.0,)}, "a quarter of the traffic is its own"
    with pytest.raises(Invalid):
        host.apply(endpoint(variant(one, "champion"), variant(two, "challenger", instances=(0, 1))))


def _counts_once_ready(host, spec):
    """Variant -> (instances, target_instances), once the spec was applied to an endpoint at rest
    and it rests again.
    """
    before = host.apply(spec)
    state = host.observe("ranker")
    resting = before.phase == state.phase == "ready" and all(
        v.instances == v.target_instances for v in state.variants
    )
    return resting and {v.name: (v.instances, v.target_instances) for v in state.variants}


@pytest.mark.needs("traffic.resolution")
def test_the_smallest_step_is_set_and_a_smaller_one_refused(ready, target, host):
    spec, state = ready
    step = Decimal(target.capabilities["traffic.resolution"].value)
    exact = {"champion": 100 - step, "challenger": step}
    host.shift("ranker", exact, expect=state.token)
    state = until(
        lambda: (
            (s := host.observe("ranker")) and has_converged(spec, exact, s, resolution=step) and s
        )
    )
    assert percents(state) == exact
    with pytest.raises(Unsupported) as refusal:
        host.shift(
            "ranker", {"champion": 100 - step / 2, "challenger": step / 2}, expect=state.token
        )
    assert refusal.value.capability == "traffic.resolution"
    for wrong in (
        split(champion=100),
        split(champion=50, challenger=49),
        split(champion=110, challenger=-10),
        split(a=50, b=50),
    ):
        with pytest.raises(Invalid):
            host.shift("ranker", wrong, expect=state.token)
    assert host.observe("ranker") == state


@pytest.mark.needs("invoke.max_bytes")
def test_a_request_above_the_limit_is_refused_before_it_is_sent(ready, target, host):
    limit = int(target.capabilities["invoke.max_bytes"].value)
    with pytest.raises(Unsupported) as refusal:
        host.invoke("ranker", [{"y": "a" * limit}], variant=None, request_id="q-1")
    assert refusal.value.capability == "invoke.max_bytes"
    assert host.invoke(
        "ranker", [{"y": "a" * (limit - 200)}], variant=None, request_id="q-2"
    ).predictions == (1.0,)


@pytest.mark.needs("invoke.parameters")
def test_parameters_reach_the_predictor_for_their_call_alone(ready, target, host):
    def answer(**parameters):
        return host.invoke(
            "ranker", [{"x": 1}], variant=None, request_id="q-1", parameters=parameters
        ).predictions

    assert answer(blend=0.25) == (2.25,)
    assert answer(blend=1, scale=2.0) == (5.0,), "a whole number is a number, and 2.0 a whole one"
    assert answer(nobody_reads="this") == answer() == (2.0,)
    with pytest.raises(ModelError, match="the parameter blend is 'much', not a number") as error:
        answer(blend="much")
    assert error.value.status in (400, 424)
    with pytest.raises(Unsupported, match="more than the") as refusal:
        answer(unread="a" * int(target.capabilities["invoke.max_bytes"].value))
    assert refusal.value.capability == "invoke.max_bytes"


@pytest.mark.needs("invoke.parameters")
def test_a_parameter_that_not_every_target_carries_is_refused_before_anybody_is_asked(target):
    for value in (
        float("nan"),
        float("-inf"),
        2**53 + 1,
        None,
        [1],
        {"a": 1},
        b"a",
        "\ud800",
        Decimal("0.5"),
    ):
        with pytest.raises(Invalid, match=r"^ranker: the parameter blend is "):
            target.endpoints.invoke(
                "ranker", [{"x": 1}], variant=None, request_id="q-1", parameters={"blend": value}
            )
    assert not target.calls.calls


def test_a_model_that_raises_is_a_model_error_with_status_and_body(ready, host):
    with pytest.raises(ModelError) as error:
        host.invoke("ranker", [{"fail": True}], variant=None, request_id="q-1")
    assert error.value.status >= 500 or error.value.status == 424
    assert "KeyError" in error.value.body
    assert "item_category" in error.value.body
    assert host.invoke("ranker", [{"x": 1}], variant=None, request_id="q-2").predictions == (
        2.0,
    ), "and the model goes on"


def test_a_model_that_does_not_load_is_a_failure_that_is_told(target, host, tmp_path, one):
    broken = register(target, tmp_path, 1.0, breaks=True)
    host.apply(endpoint(variant(one, "champion"), variant(broken, "challenger")))
    state = settled(target)
    assert state.phase == "failed"
    assert "challenger" in state.failure
    assert {v.name: v.phase for v in state.variants}["challenger"] == "failed"


def test_an_unknown_version_changes_nothing(target, host, one):
    with pytest.raises(NotFound):
        host.apply(
            endpoint(variant(one, "champion"), VariantSpec(name="x", model="ranker", version=99))
        )
    assert host.observe("ranker") is None


def test_apply_that_was_cut_is_completed_by_another(target, host, one, cut):
    spec = endpoint(variant(one, "champion"))
    with cut:
        host.apply(spec)
    host.apply(spec)
    assert variants_ready(spec, settled(target))


def test_shift_that_was_cut_leaves_one_of_two_states(ready, target, host, cut):
    """Cut before: nothing moved. Cut after: it moved, and the token tells so."""
    spec, state = ready
    wanted = split(champion=70, challenger=30)
    with cut:
        host.shift("ranker", wanted, expect=state.token)
    seen = host.observe("ranker")
    moved = {v.name: v.target_percent for v in seen.variants} == wanted
    assert moved == (cut.kind == "after")
    if not moved:
        assert seen.token == state.token
        host.shift("ranker", wanted, expect=seen.token)
    else:
        assert seen.token != state.token
    until(lambda: has_converged(spec, wanted, host.observe("ranker")))


def test_deleting_twice_is_success(ready, target, host):
    resource = next(r for r in target.inventory.list("conf") if r.kind == "endpoint")
    target.inventory.delete(resource)
    until(lambda: host.observe("ranker") is None)
    target.inventory.delete(resource)
    assert not [r for r in target.inventory.list("conf") if r.kind == "endpoint"]
