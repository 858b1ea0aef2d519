"""The rules of an endpoint host, without any adapter: three hypothetical targets, one set of rules."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.endpoints import hosting
from isthmus.endpoints.hosting import HostRules
from isthmus.endpoints.port import EndpointSpec, VariantSpec, Window
from isthmus.endpoints.revision import identity
from isthmus.errors import Conflict, Invalid, ModelError, Unsupported
from isthmus.target import Adapter, Capability, Profile, Target

UNHURRIED = settings(deadline=None)  # the machine may be busy

D = Decimal
RULES = HostRules(
    target="prod", provider="Somewhere", resolution=D("0.01"), max_bytes=100, most_variants=3
)
WHOLE = HostRules(
    target="prod",
    provider="Somewhere",
    resolution=D(1),
    max_bytes=100,
    offers=frozenset({hosting.STICKY, hosting.CAPTURE}),
)


def variant(name="champion", **more):
    return VariantSpec(name=name, **{"model": "ranker", "version": 1, **more})


def spec(*variants, **more):
    return EndpointSpec(name="ranker", variants=variants, **more)


def target(*rows):
    adapter = Adapter(
        name="any", title="Any", capabilities={row.name: row for row in rows}, ports={}
    )
    return Target(Profile(name="prod", adapter="any", project="shop", options={}), adapter)


def test_a_targets_rules_are_its_capabilities():
    rows = (
        Capability(name="traffic.resolution", level="native", value=1),
        Capability(name="invoke.max_bytes", level="native", value=1_500_000),
        Capability(name="capture", level="native"),
        Capability(name="shadow.native", level="refused"),
    )
    rules = hosting.rules_of(target(*rows), provider="Somewhere", most_variants=7)
    assert rules == HostRules(
        target="prod",
        provider="Somewhere",
        resolution=D(1),
        max_bytes=1_500_000,
        most_variants=7,
        offers=frozenset({"traffic.resolution", "invoke.max_bytes", "capture"}),
    )


def test_a_capability_without_its_number_is_the_adapters_mistake():
    rows = (
        Capability(name="traffic.resolution", level="native"),
        Capability(name="invoke.max_bytes", level="native", value=1),
    )
    with pytest.raises(TypeError, match=r"traffic\.resolution needs a number"):
        hosting.rules_of(target(*rows), provider="Somewhere")


@pytest.mark.parametrize("variants", [(), (variant(), variant(version=2))])
def test_an_endpoint_has_variants_each_with_a_name_of_its_own(variants):
    with pytest.raises(Invalid, match="each with a name of its own"):
        hosting.check_spec(spec(*variants), WHOLE)


@pytest.mark.parametrize("instances", [(0, 1), (2, 1), (-1, -1)])
def test_a_count_of_instances_is_at_least_one_and_its_most_not_below_its_fewest(instances):
    with pytest.raises(Invalid, match="is no number of instances"):
        hosting.check_spec(spec(variant(instances=instances)), WHOLE)


def test_what_a_target_does_not_offer_is_refused_by_the_capabilitys_name():
    for wish, capability in (
        ({"routing": "sticky"}, "routing.sticky"),
        ({"capture_percent": 5}, "capture"),
    ):
        with pytest.raises(Unsupported, match="is not supported yet") as refusal:
            hosting.check_spec(spec(variant(), **wish), RULES)
        assert refusal.value.capability == capability
        hosting.check_spec(spec(variant(), **wish), WHOLE)


def test_a_provider_may_limit_the_variants_of_an_endpoint():
    four = spec(*(variant(name) for name in "abcd"))
    with pytest.raises(Unsupported) as refusal:
        hosting.check_spec(four, RULES)
    assert (str(refusal.value), refusal.value.capability) == (
        "endpoint ranker has 4 variants; Somewhere takes 3",
        "endpoints.variants",
    )
    hosting.check_spec(spec(*four.variants[:3]), RULES)
    hosting.check_spec(four, WHOLE)


VARIANTS = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        VariantSpec,
        name=st.just(""),
        model=st.sampled_from(["ranker", "other"]),
        version=st.integers(1, 2),
        machine=st.sampled_from(["", "large"]),
        attempt=st.integers(0, 1),
        instances=st.sampled_from([None, (1, 1), (1, 3)]),
    ),
    min_size=1,
).map(lambda named: {name: msgspec.structs.replace(v, name=name) for name, v in named.items()})
TRAFFIC = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from([D(0), D("0.01"), D(50), D(100)])
)


@UNHURRIED
@given(VARIANTS, VARIANTS, TRAFFIC)
def test_what_has_traffic_stays_as_it_is_and_everything_else_may_change(running, wanted, traffic):
    """Accepted if and only if every known variant with traffic runs on unchanged; how many
    instances it has is no change.
    """
    served = [name for name, percent in traffic.items() if percent > 0 and name in running]
    unharmed = all(
        name in wanted and identity(wanted[name]) == identity(running[name]) for name in served
    )
    try:
        hosting.guard_traffic(spec(*wanted.values()), running, traffic)
        accepted = True
    except Conflict:
        accepted = False
    assert accepted is unharmed


@UNHURRIED
@given(VARIANTS, TRAFFIC)
def test_nothing_is_in_the_way_of_a_spec_that_runs_already(running, traffic):
    hosting.guard_traffic(spec(*running.values()), running, traffic)


def test_the_guard_says_who_has_how_much_and_what_would_happen_to_it():
    running = {"champion": variant(), "challenger": variant("challenger")}
    traffic = {"champion": D("99.50"), "challenger": D("0.50")}
    with pytest.raises(
        Conflict, match=r"^ranker: challenger has 0\.5 % of the traffic and would be removed$"
    ) as conflict:
        hosting.guard_traffic(spec(variant()), running, traffic)
    assert (
        conflict.value.remedy == "move its traffic away first: isthmus traffic ranker challenger=0"
    )
    with pytest.raises(Conflict, match="champion has 100 % of the traffic and would be changed"):
        hosting.guard_traffic(
            spec(variant(version=2)), running, {"champion": D(100), "challenger": D(0)}
        )


@UNHURRIED
@given(VARIANTS)
def test_a_new_endpoints_first_variant_has_everything(variants):
    split = hosting.first_split(spec(*variants.values()))
    assert list(split.values()) == [D(100), *[D(0)] * (len(variants) - 1)]
    assert hosting.checked_split("ranker", split, list(variants), WHOLE) == split


def test_a_split_is_judged_by_the_targets_own_resolution():
    split = {"champion": D("99.5"), "challenger": D("0.5")}
    assert hosting.checked_split("ranker", split, list(split), RULES) == split
    with pytest.raises(
        Unsupported, match=r"^prod endpoint ranker splits traffic in whole percents"
    ) as refusal:
        hosting.checked_split("ranker", split, list(split), WHOLE)
    assert refusal.value.capability == "traffic.resolution"


def test_a_token_that_is_not_the_endpoints_any_more_is_a_conflict():
    hosting.check_token("ranker", "t1", expect="t1")
    hosting.check_token("ranker", None, expect=None)
    for token, expect in (("t2", "t1"), (None, "t1"), ("t1", None)):
        with pytest.raises(Conflict, match="ranker was changed by somebody else"):
            hosting.check_token("ranker", token, expect=expect)


def test_a_window_is_whole_minutes_and_does_not_end_before_it_starts():
    minute = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    hosting.check_window(Window(start=minute, end=minute))
    hosting.check_window(Window(start=minute, end=minute + timedelta(hours=1)))
    for start, end in ((0, 61), (0.5, 60), (60, 0)):
        window = Window(
            start=minute + timedelta(seconds=start), end=minute + timedelta(seconds=end)
        )
        with pytest.raises(Invalid, match="a window is whole minutes"):
            hosting.check_window(window)


@UNHURRIED
@given(st.integers(0, 200))
def test_a_request_is_sent_up_to_the_limit_and_not_a_byte_beyond(length):
    rows, whole = [{"x": "a" * length}], len(b'{"instances":[{"x":""}]}') + length
    if whole <= RULES.max_bytes:
        body = hosting.request_body("ranker", rows, RULES)
        assert len(body) == whole
        assert msgspec.json.decode(body) == {"instances": rows}
    else:
        with pytest.raises(
            Unsupported, match=f"has {whole:,} bytes, more than the 100 that prod takes"
        ) as refusal:
            hosting.request_body("ranker", rows, RULES)
        assert refusal.value.capability == "invoke.max_bytes"


PASSING = msgspec.structs.replace(RULES, offers=frozenset({hosting.PARAMETERS}))


def test_parameters_are_beside_the_instances_and_count_as_bytes():
    body = hosting.request_body(
        "ranker", [{"x": 1}], PASSING, {"blend": 0.7, "mode": "a", "on": True, "n": 3}
    )
    assert body == b'{"instances":[{"x":1}],"parameters":{"blend":0.7,"mode":"a","on":true,"n":3}}'
    mode = "a" * (110 - len(b'{"instances":[{"x":1}],"parameters":{"mode":""}}'))
    with pytest.raises(Unsupported, match="has 110 bytes, more than the 100 that prod takes"):
        hosting.request_body("ranker", [{"x": 1}], PASSING, {"mode": mode})


def test_without_parameters_a_body_is_the_instances_alone():
    for rules in (RULES, PASSING):
        assert hosting.request_body("ranker", [{"x": 1}], rules, {}) == b'{"instances":[{"x":1}]}'


def test_parameters_are_refused_by_the_capabilitys_name_where_a_target_passes_none():
    with pytest.raises(Unsupported, match="Somewhere passes no parameters to a model") as refusal:
        hosting.request_body("ranker", [{"x": 1}], RULES, {"blend": 0.7})
    assert refusal.value.capability == "invoke.parameters"


def test_predictions_are_what_the_model_answered():
    assert hosting.predictions("ranker", b'{"predictions": [0.5, {"a": 1}], "more": 1}') == (
        0.5,
        {"a": 1},
    )


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[0.5]", b'{"predictions": 0.5}', b'{"other": []}']
)
def test_an_answer_without_predictions_is_the_models_error(body):
    with pytest.raises(
        ModelError, match=r"^ranker: the model's answer has no predictions: "
    ) as error:
        hosting.predictions("ranker", body)
    assert (error.value.status, error.value.body) == (200, body.decode("utf-8", "replace"))
